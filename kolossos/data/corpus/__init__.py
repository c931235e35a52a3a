"""Prepared data: ``shards``, ``documents`` and ``manifest`` as written; ``corpus`` and ``batches`` read them."""
