"""Exact and near duplicates: the first document in source order wins, whatever the number of workers.

Workers compute a fingerprint and a MinHash sketch for each document; one pass in source order decides. Near means an
estimated Jaccard similarity of the character shingles of at least the threshold (Broder 1997; the sketch and the
locality-sensitive index are rensa's R-MinHash).
"""

import hashlib
from typing import Any, Literal

import numpy as np

SHINGLE_BYTES = 12
SKETCH_SLOTS = 128
SKETCH_SEED = 1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def normalised(text: str) -> bytes:
    """``text`` with every run of white space as one space: what two documents are compared by."""
    return " ".join(text.split()).encode()


def fingerprint(normalised_text: bytes) -> bytes:
    """16 bytes that two documents share only if their normalised texts are equal."""
    return hashlib.blake2b(normalised_text, digest_size=16).digest()


def sketch(normalised_text: bytes) -> bytes:
    """A MinHash sketch of the text's shingles, about 600 bytes."""
    sketched = _empty_sketch()
    sketched.update(shingle_hashes(normalised_text).view("V8").tolist())
    return sketched.__getstate__()


def shingle_hashes(normalised_text: bytes) -> np.ndarray:
    """Hashes (n,) uint64 of all runs of SHINGLE_BYTES bytes, repeats included; a shorter text is one shingle."""
    characters = np.frombuffer(normalised_text, dtype=np.uint8).astype(np.uint64)
    width = min(SHINGLE_BYTES, len(characters))
    n_shingles = len(characters) - width + 1
    hashes = np.zeros(n_shingles, dtype=np.uint64)
    for offset in range(width):  # Horner's rule over all shingles at once, modulo 2**64
        hashes = hashes * _MULTIPLIER + characters[offset : offset + n_shingles] + np.uint64(1)
    return hashes


class Duplicates:
    """Judges documents in source order; holds fingerprints and sketches of those kept, never their texts."""

    def __init__(self, near_threshold: float | None) -> None:
        """``near_threshold``: Jaccard similarity in (0, 1] from which texts are near duplicates; None: exact only."""
        self._seen: set[bytes] = set()
        self._near_index = None
        if near_threshold is not None:
            from rensa import RMinHashDeduplicator  # pyright: ignore[reportAttributeAccessIssue]  # compiled, no stubs

            self._near_index = RMinHashDeduplicator(near_threshold, SKETCH_SLOTS, use_lsh=True, seed=SKETCH_SEED)

    def judge(self, document_fingerprint: bytes, document_sketch: bytes | None) -> Literal["exact", "near"] | None:
        """Whether a document repeats an earlier one; if not (None) it is remembered."""
        if document_fingerprint in self._seen:
            return "exact"
        self._seen.add(document_fingerprint)
        if self._near_index is None or document_sketch is None:
            return None
        sketched = _empty_sketch()
        sketched.__setstate__(document_sketch)
        return None if self._near_index.add(document_fingerprint.hex(), sketched) else "near"


def _empty_sketch() -> Any:
    from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]  # compiled, no stubs

    return RMinHash(SKETCH_SLOTS, SKETCH_SEED)
