"""The words that rules look for, read from `cues.toml`."""

import tomllib
from functools import cache
from pathlib import Path


def words_of(name: str) -> list[str]:
    """The words of the list ``name``, in order."""
    return _lists()[name].split()


@cache
def _lists() -> dict[str, str]:
    return tomllib.loads((Path(__file__).parent / "cues.toml").read_text(encoding="utf-8"))
