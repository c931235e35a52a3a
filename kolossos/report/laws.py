"""The table of laws, and where a run stands to each line."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from kolossos.report.compute import Compute
from kolossos.specs.strict import Spec

LAWS = Path(__file__).parent / "tables/laws.toml"
NEAR = 3.0  # a run within this factor below a line is called near it
Position = Literal["above", "above if recompute is counted", "will be above as intended", "near", "below"]


class Duty(Spec):
    """What a developer owes, and by when; ``large_only``: only above the law's revenue line."""

    what: str
    deadline: str
    large_only: bool = False


class Law(Spec):
    """One line of one law."""

    key: str
    name: str
    place: str
    status: Literal["in force", "not yet in force", "passed, not seen signed", "vetoed", "revoked"]
    status_detail: str
    flops_threshold: PositiveFloat
    at_least: bool = False
    revenue_threshold_usd: PositiveFloat | None = None
    cost_threshold_usd: PositiveFloat | None = None
    counts: str
    scope: str
    penalty: str
    source: str
    grade: Literal["P", "A", "S"]
    duties: list[Duty]

    @property
    def is_law(self) -> bool:
        """Whether it binds anybody, now or from a date that is set."""
        return self.status in ("in force", "not yet in force")

    def crossed_by(self, flops: float) -> bool:
        """Whether ``flops`` lies above the line."""
        return flops >= self.flops_threshold if self.at_least else flops > self.flops_threshold


class LawTable(Spec):
    """All laws, and the month their state was looked up."""

    as_of: str
    as_of_note: str
    laws: list[Law] = Field(min_length=1)


@dataclass(frozen=True)
class Standing:
    """A run against one line. ``ratio`` is counted FLOPs over the line; ``tokens_to_line`` as the model stands."""

    law: Law
    position: Position
    ratio: float
    ratio_executed: float
    tokens_to_line: float
    large: bool | None
    above_cost: bool | None
    owed: list[Duty]
    owed_if_large: list[Duty]

    @property
    def crosses(self) -> bool:
        """Whether the developer should act as above the line, by the counted FLOPs or a wider count."""
        return self.position not in ("near", "below")


@cache
def load_laws() -> LawTable:
    """The project's table of laws."""
    values: dict[str, Any] = tomllib.loads(LAWS.read_text(encoding="utf-8"))
    return LawTable.parse(values, LAWS.name)


def stand(law: Law, compute: Compute, revenue_usd: float | None, cost_usd: float | None) -> Standing:
    """Where ``compute`` stands to ``law``, and what follows at ``revenue_usd`` a year (None: unknown)."""
    position = _position(law, compute)
    crosses = position not in ("near", "below")
    large = None if revenue_usd is None or not law.revenue_threshold_usd else revenue_usd > law.revenue_threshold_usd
    above_cost = None if cost_usd is None or not law.cost_threshold_usd else cost_usd > law.cost_threshold_usd
    due = law.duties if crosses and law.status not in ("vetoed", "revoked") else []
    owed = [duty for duty in due if not duty.large_only or large]
    return Standing(
        law=law,
        position=position,
        ratio=compute.counted / law.flops_threshold,
        ratio_executed=compute.executed / law.flops_threshold,
        tokens_to_line=max(law.flops_threshold - compute.counted, 0.0) / compute.per_token,
        large=large,
        above_cost=above_cost,
        owed=owed,
        owed_if_large=[duty for duty in due if duty.large_only and large is None],
    )


def _position(law: Law, compute: Compute) -> Position:
    if law.crossed_by(compute.counted):
        return "above"
    if law.crossed_by(compute.executed):
        return "above if recompute is counted"
    if law.crossed_by(compute.intended):
        return "will be above as intended"
    return "near" if compute.executed * NEAR >= law.flops_threshold else "below"
