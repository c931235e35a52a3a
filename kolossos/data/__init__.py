"""Text to tokens to batches: every batch is a pure function of (seed, step).

A reading order: ``sources`` finds files, ``readers`` and ``archive`` stream their documents, ``clean``,
``duplicates`` and ``split`` decide what stays and where, ``tokenizer`` and ``shards`` write it, and ``prepare`` runs
these as one resumable pipeline. ``corpus`` opens the result and ``batches`` deals it out through ``permutation``.
No torch here: numpy arrays come out.
"""
