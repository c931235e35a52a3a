"""Checkpoints: each rank writes and hashes its part, one rank commits; any store; any other sharding reads them.

    checkpoints/step-00000200/
        rank-00000.safetensors   one a rank: its shards of the tensors; nothing is pickled
        rank-00000.json          with several ranks: size and sha256 of what the rank wrote
        checkpoint.json          step, and every file's size and sha256; written last

Reading order: ``ranks`` (who saves), ``staging`` (a copy of the state), ``shard_files`` (what a rank writes, and
reading it into any sharding), ``checkpoint`` (one on disk), ``folder`` (all of a run: saving, committing, keeping).
"""
