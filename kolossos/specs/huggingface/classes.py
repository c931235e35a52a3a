"""What a class of transformers computes that config.json does not say: the table catalogue/architectures.toml.

A file that names no known class is read by its keys alone, as a Llama or Mixtral with what the keys add.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kolossos.specs.strict import read_toml

TABLE = Path(__file__).parents[1] / "catalogue" / "architectures.toml"
ENDINGS = re.compile(
    r"(For(CausalLM|ConditionalGeneration|TextGeneration|ImageTextToText|QuestionAnswering)"
    r"|LMHeadModel|ModelForCausalLM|Model|LM)$"
)


@dataclass(frozen=True)
class Facts:
    """One class. Values of a ModelSpec and its experts that its code fixes, and how it takes the keys of the file."""

    name: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    moe: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    """Of keys that a file may leave out."""
    elided: dict[str, Any] = field(default_factory=dict)
    """Of keys that are left out where the file is a part of a larger one."""
    ignores: tuple[str, ...] = ()
    """Keys that other classes take in and this one does not."""
    output_bias: bool = True
    """Whether attention_bias is one of the output matrix, too."""
    window: str | int | tuple[str, ...] = "all"
    """Where windows are if the file does not say: all layers, none, upper (Qwen), every n-th not, or a pattern."""
    recurrent: str = ""
    """What its layers without attention are, where keys cannot tell."""
    shortcut: bool = False
    """Whether each layer is two of attention and dense MLP, with experts beside the first."""
    omits: str = ""
    """What it computes that no ModelSpec holds."""
    refused: str = ""
    """Why its numbers would be wrong."""

    @property
    def known(self) -> bool:
        """Whether the class is in the table."""
        return bool(self.name)


@cache
def classes() -> dict[str, Facts]:
    """Every class by its model_type."""
    entries = read_toml(TABLE)
    return {name: _facts(name, entries) for name in entries}


def _facts(name: str, entries: dict[str, Any]) -> Facts:
    entry = entries[name]
    base = _facts(entry["like"], entries) if "like" in entry else Facts()
    merged = {key: getattr(base, key) | entry.get(key, {}) for key in ("spec", "moe", "defaults", "elided")}
    plain = ("output_bias", "window", "recurrent", "shortcut", "omits", "refused")
    merged |= {key: entry.get(key, getattr(base, key)) for key in plain}
    merged["ignores"] = tuple(entry.get("ignores", base.ignores))
    merged["window"] = tuple(merged["window"]) if isinstance(merged["window"], list) else merged["window"]
    return Facts(name, **merged)


@cache
def _by_squeezed_name() -> dict[str, str]:
    return {_squeezed(name): name for name in classes()}


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_class(name: str) -> Facts | None:
    """The class of an architecture ("Qwen3MoeForCausalLM") or a model_type ("qwen3_moe"); None if it is unknown."""
    known = _by_squeezed_name()
    bare = ENDINGS.sub("", name)
    for candidate in (name, bare, re.sub(r"_?text$", "", name), re.sub(r"(Text|VL|Vl)$", "", bare)):
        if (found := known.get(_squeezed(candidate))) is not None:
            return classes()[found]
    return None
