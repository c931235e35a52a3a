"""Which documents are held out: decided by a seeded hash of the content, so order and neighbours do not matter."""

import hashlib
from collections.abc import Sequence

import numpy as np


def held_out(fingerprints: Sequence[bytes], fraction: float, seed: int) -> np.ndarray:
    """True for the documents of the validation split.

    Args:
        fingerprints: the content hashes of all documents.
        fraction: expected share held out, in [0, 1); with 0 nothing is.
        seed: another seed holds out other documents.

    Returns:
        (n,) bool. Of two or more documents at least one is held out (if fraction > 0) and at least one is not.
    """
    if not fingerprints or fraction == 0:
        return np.zeros(len(fingerprints), dtype=bool)
    key = seed.to_bytes(8, "little")
    draws = np.array([_draw(fingerprint, key) for fingerprint in fingerprints])
    chosen = draws < fraction
    if len(fingerprints) > 1:
        chosen[draws.argmin()] = True
        chosen[draws.argmax()] = False
    else:
        chosen[:] = False
    return chosen


def _draw(fingerprint: bytes, key: bytes) -> float:
    """A uniform number in [0, 1) that depends on the content and the seed only."""
    digest = hashlib.blake2b(fingerprint, digest_size=8, key=key).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53
