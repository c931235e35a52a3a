"""What gzip and xz need for a text: the yardstick that everybody has at hand for bits per byte."""

import gzip
import lzma
from pathlib import Path


def compressor_bits_per_byte(path: Path) -> dict[str, float]:
    """Bits per byte of the whole file under ``gzip -9`` and ``xz -9`` (their libraries at level 9)."""
    text = path.read_bytes()
    packed = {"gzip -9": gzip.compress(text, 9), "xz -9": lzma.compress(text, preset=9)}
    return {name: 8 * len(data) / len(text) for name, data in packed.items()}
