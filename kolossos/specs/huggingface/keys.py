"""The keys of a config.json, typed, with a record of which were read: whoever reads a key has taken it in.

A key is sought under all its names; what the file leaves out stands at the default of the class that it names.
"""

import math
from collections.abc import Mapping
from typing import Any

from kolossos.errors import InputError

LARGEST = 10**12
"""No width, count or length of a network is above it; it keeps products exact in 64 bits."""

SHARED = {"intermediate_size", "ffn_hidden_size", "head_dim", "num_heads"}
"""Names that mean one thing in one class and another in the next: beside a more special one they say nothing."""


class Keys:
    """One table of config.json, over the ``defaults`` of its class."""

    def __init__(self, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None):
        self.values = values
        self.defaults = defaults or {}
        self.read: set[str] = set()
        self.notes: list[str] = []
        """What readers took for something else, in a few words."""

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def get(self, *names: str, default: Any = None) -> Any:
        """The first of ``names`` that holds something; all of them count as read."""
        self.read.update(names)
        for name in names:
            if self.values.get(name) is not None:
                return self.values[name]
        if not any(name in self.values for name in names):  # null says that there is none
            for name in names:
                if self.defaults.get(name) is not None:
                    return self.defaults[name]
        return default

    def whole(self, *names: str, default: int | None = None, least: int = 0) -> int:
        """A whole number of at least ``least``; InputError if it is missing or something else."""
        value = self.get(*names, default=default)
        if value is None:
            raise InputError(f"key {names[0]!r} is missing")
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
            raise InputError(f"key {self.name_of(*names)!r} = {_short(value)}: expected a whole number from {least} on")
        return value

    def some(self, *names: str) -> int:
        """A whole number, or 0 where there is none; where several of ``names`` say different things, that is noted."""
        said = {name: self.values[name] for name in names if self.values.get(name) is not None and name not in SHARED}
        if len(set(map(str, said.values()))) > 1:
            taken, *others = said
            self.note(f"{', '.join(others)} (where {taken} = {_short(said[taken])} was taken)")
        return self.whole(*names, default=0)

    def number(self, *names: str, default: float) -> float:
        """A finite number."""
        value = self.get(*names, default=default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= 1e30:
            raise InputError(f"key {self.name_of(*names)!r} = {_short(value)}: expected a number")
        return float(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """True or false."""
        value = self.get(*names, default=default)
        if not isinstance(value, (bool, int)):
            raise InputError(f"key {self.name_of(*names)!r} = {_short(value)}: expected true or false")
        return bool(value)

    def items(self, *names: str, length: int | None = None) -> list[Any]:
        """A list, of ``length`` entries if one is asked for (longer lists are cut: they hold layers beside the model);
        empty where there is none."""
        value = self.get(*names, default=[])
        if not isinstance(value, list):
            raise InputError(f"key {self.name_of(*names)!r} = {_short(value)}: expected a list")
        if value and length is not None:
            if len(value) < length:
                raise InputError(f"key {self.name_of(*names)!r} has {len(value)} entries for {length} layers")
            return value[:length]
        return value

    def table(self, *names: str) -> dict[str, Any]:
        """A nested table; empty where there is none."""
        value = self.get(*names, default={})
        if not isinstance(value, dict):
            raise InputError(f"key {self.name_of(*names)!r} = {_short(value)}: expected a table")
        return value

    def note(self, said: str) -> None:
        """Remember something to say of the file, once."""
        if said not in self.notes:
            self.notes.append(said)

    def name_of(self, *names: str) -> str:
        """The one of ``names`` that the file uses."""
        return next((name for name in names if self.values.get(name) is not None), names[0])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
