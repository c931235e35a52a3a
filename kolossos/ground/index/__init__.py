"""An index in a folder: words in tantivy, vectors in usearch, both mapped into memory by whoever reads."""

from kolossos.ground.index.open import open_index

__all__ = ["open_index"]
