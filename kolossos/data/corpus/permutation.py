"""A seeded shuffle of [0, n) that needs no table: any element of it costs O(1) time and memory.

A Feistel network over the next power of four is a bijection whatever its round function (Luby & Rackoff 1988); values
that fall outside [0, n) walk on along their cycle until one is inside (Black & Rogaway 2002), which keeps it one.
"""

import hashlib

import numpy as np

ROUNDS = 8


class Permutation:
    """The bijection of [0, ``length``) chosen by ``key`` (any integers; other integers, another shuffle)."""

    def __init__(self, length: int, *key: int) -> None:
        if not 0 < length <= 1 << 62:
            raise ValueError(f"length must be in [1, 2**62], not {length}")
        self.length = length
        self._half_bits = np.uint64(max(1, ((length - 1).bit_length() + 1) // 2))
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8 * ROUNDS).digest()
        self._round_keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Where ``positions`` (any shape, integers in [0, length)) go; int64 of the same shape."""
        positions = np.asarray(positions)
        if positions.size and not 0 <= positions.min() <= positions.max() < self.length:
            raise ValueError(f"positions must be in [0, {self.length})")
        values = self._feistel(positions.astype(np.uint64).ravel())
        outside = np.flatnonzero(values >= self.length)
        while outside.size:
            values[outside] = self._feistel(values[outside])
            outside = outside[values[outside] >= self.length]
        return values.astype(np.int64).reshape(positions.shape)

    def _feistel(self, values: np.ndarray) -> np.ndarray:
        """A bijection of [0, 4**half_bits): ``values`` (n,) uint64, not changed."""
        mask = (np.uint64(1) << self._half_bits) - np.uint64(1)
        left, right = values >> self._half_bits, values & mask
        for key in self._round_keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        return (left << self._half_bits) | right


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014), arithmetic modulo 2**64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
