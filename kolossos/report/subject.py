"""What a report is about: a run or a plan, in the few figures that the document states, each with how it is known."""

from dataclasses import dataclass, field
from typing import Literal

from kolossos.runs.goodput import Goodput
from kolossos.runs.step_times import StepTimes
from kolossos.specs.model import ModelSpec

How = Literal["measured", "counted", "estimated", "planned", "given", "not known"]


@dataclass(frozen=True)
class Figure:
    """A number with its unit and how it is known; ``low`` and ``high`` bound an estimate where there is a bound."""

    value: float | None
    unit: str
    how: How
    note: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Subject:
    """A run or plan as read from its files. Base units: tokens, FLOPs, seconds, joules, USD.

    goodput, step_times: of a run that wrote down where its time went, over all attempts and by rank.
    """

    kind: Literal["run", "plan", "simulation"]
    name: str
    path: str
    state: str
    model: ModelSpec
    tokens: float
    tokens_intended: float
    seq_len: int
    recompute: str
    precision: str
    given_model_flops: float | None
    n_gpus: int
    hardware: list[tuple[str, str]]
    seconds: Figure
    energy: Figure
    cost: Figure
    carbon: Figure
    data: list[tuple[str, str]]
    layout: dict[str, object] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    goodput: Goodput | None = None
    step_times: list[StepTimes] = field(default_factory=list)
