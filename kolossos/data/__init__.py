"""Text to tokens to batches: every batch is a pure function of (seed, step).

A reading order, which is the order of the work too:

    formats/    each file a data format (``format.py`` says what one is, ``document.py`` what it gives)
    documents/  from text to documents: find the files, read and clean them, fingerprint them
    tokens/     from documents to tokens: drop duplicates, hold out, train the tokenizer, write; resumable
    corpus/     what was made: token shards, the table of documents, the manifest; opened, and dealt out in batches

``prepare`` runs the first three as one command. No torch here: numpy arrays come out.
"""
