"""What a person may ask of an engine, checked on entry, without torch."""

from dataclasses import dataclass
from typing import Literal

from kolossos.errors import InputError

Weights = Literal["fp32", "bf16", "int8"]
WEIGHTS: tuple[Weights, ...] = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class EngineOptions:
    """weights: fp32, bf16, int8. threads: None: as many as are fastest. context: None: the model's, if there is room.

    tokens_a_pass (None: what suits the device), most_at_once, most_waiting: see `EngineLoop`. memory_bytes: for keys
    and values; None: an eighth of what is available (of a GPU's: two thirds of what the weights leave), and no more
    than ``most_at_once`` whole contexts.
    """

    weights: Weights = "fp32"
    threads: int | None = None
    context: int | None = None
    tokens_a_pass: int | None = None
    most_at_once: int = 32
    most_waiting: int = 1024
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        """InputError naming the option that is out of range."""
        if self.weights not in WEIGHTS:
            raise InputError(f"weights {self.weights!r}: expected {', '.join(WEIGHTS)}")
        for name in ("threads", "context", "tokens_a_pass", "most_at_once", "most_waiting", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name.replace('_', '-')} {value}: expected 1 or more")
