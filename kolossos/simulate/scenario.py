"""One operation, resolved once: causes, lots, phases and policy as values. Nothing after this reads a name again."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kolossos.errors import InputError, nearest
from kolossos.simulate.failures import CauseSpec, FailureSpec, FailureTable, Scope, load_table
from kolossos.simulate.fleet import Lot, Phase, lots_of, phases_of
from kolossos.simulate.piecewise import Array
from kolossos.simulate.policies import load_policy
from kolossos.simulate.policy import Policy
from kolossos.simulate.spec import DAY_S, FleetSpec, OperationSpec

ANYWHERE: tuple[Scope, ...] = ("job", "fabric", "site")
"""Failures that stop the job wherever they strike."""
WHOLE: tuple[Scope, ...] = ("fabric", "site")
"""Failures after which nothing runs until they are repaired."""


@dataclass(frozen=True)
class Causes:
    """The causes of failure, with every factor on their rates applied."""

    rows: tuple[CauseSpec, ...]

    def column(self, name: str) -> Array:
        """A field of every cause."""
        return np.array([getattr(row, name) for row in self.rows], float)

    def within(self, scopes: tuple[Scope, ...]) -> Array:
        """Whether each cause's scope is one of these."""
        return np.array([row.scope in scopes for row in self.rows], bool)

    def per_1000_node_days(self, within: tuple[Scope, ...] | None = None) -> float:
        """Sum of the rates, of all causes or of those in some scopes."""
        return sum(row.per_1000_node_days for row in self.rows if within is None or row.scope in within)

    def per_day(self) -> float:
        """Sum of the rates that belong to the job as one, however large."""
        return sum(row.per_day for row in self.rows)


@dataclass(frozen=True)
class Scenario:
    """What is played: the operation as it was asked for, and everything that its names stand for."""

    spec: OperationSpec
    table: FailureTable | None
    """Where the causes are from; None: the operation lists its own."""
    causes: Causes
    lots: tuple[Lot, ...]
    phases: tuple[Phase, ...]
    policy: Policy

    @property
    def horizon_s(self) -> float:
        """Seconds of the run."""
        return self.spec.days * DAY_S

    @property
    def load_s(self) -> float:
        """Seconds in which the job reads a checkpoint from the store."""
        load = self.spec.recovery.load_s
        return self.spec.checkpoint.bytes / self.spec.checkpoint.store_bytes_per_s if load is None else load

    @property
    def mtbf_s(self) -> float:
        """Mean time between interruptions of the first job, by the table's rates (no age)."""
        first = self.phases[0]
        anywhere = self.causes.per_1000_node_days(ANYWHERE)
        in_job = self.causes.per_1000_node_days() - anywhere
        per_day = (anywhere * first.nodes + in_job * first.job_nodes) / 1000.0 + self.causes.per_day()
        return DAY_S / per_day if per_day else float("inf")

    def with_recovery(self, **changes: Any) -> "Scenario":
        """The same run, on the same failures, with other values of ``recovery``."""
        return self._with(self.spec.model_copy(update={"recovery": self.spec.recovery.model_copy(update=changes)}))

    def with_replicates(self, replicates: int) -> "Scenario":
        """The same run, played so often."""
        return self._with(self.spec.model_copy(update={"replicates": replicates}))

    def with_step_pinned(self) -> "Scenario":
        """The step time pinned to the job as it is, so that spares taken from it slow it down."""
        gpus = self.spec.step.for_gpus or self.phases[0].job_nodes * self.spec.fleet.gpus_per_node
        step = self.spec.step.model_copy(update={"for_gpus": gpus})
        return self._with(self.spec.model_copy(update={"step": step}))

    def _with(self, spec: OperationSpec) -> "Scenario":
        """``spec`` differs from ours in neither failures nor fleet: what was read for them stays."""
        return _scenario(spec, self.table, self.causes, self.lots)


BY_HAND_SHARE = 0.173
"""Manual restarts among all incidents (ByteRobust, arXiv:2509.16293, secondary notes)."""
AUTOMATED_FROM_GPUS = 8_192
"""Jobs this large restart by themselves: of Llama 3's 419 stops on 16,384 GPUs three needed a person; at 504 GPUs two
of three chains of automatic attempts ended with one (arXiv:2605.09370). Where the change lies is our judgement."""
MOST_FAULTS = 5e6
"""In one run, as many as are drawn at once."""


def resolve(spec: OperationSpec) -> Scenario:
    """Look up what ``spec`` names (failure table, kinds of GPU, policy), once; InputError names the nearest."""
    table = load_table(spec.failures.table) if spec.failures.causes is None else None
    lots = lots_of(spec.fleet)
    rows = spec.failures.causes if table is None else _attended(table.causes, spec, lots)
    rows = _chosen(rows or [], spec.failures.only)
    causes = _scaled(rows, spec.failures, lots, spec.fleet)
    nodes = sum(lot.gpus for lot in lots) / spec.fleet.gpus_per_node
    faults = (causes.per_1000_node_days() / 1000.0 * nodes + causes.per_day()) * spec.days
    if faults > MOST_FAULTS:
        raise InputError(f"failures: {faults:.3g} faults in {spec.days:g} days; expected at most {MOST_FAULTS:g}")
    return _scenario(spec, table, causes, lots)


def _scenario(spec: OperationSpec, table: FailureTable | None, causes: Causes, lots: tuple[Lot, ...]) -> Scenario:
    return Scenario(spec, table, causes, lots, phases_of(spec, lots), load_policy(spec.recovery.policy))


def _chosen(rows: list[CauseSpec], only: list[str] | None) -> list[CauseSpec]:
    names = [row.name for row in rows]
    for name in only or ():
        if name not in names:
            raise InputError(f"failures.only: no cause '{name}'{nearest(name, names)}; there are: {', '.join(names)}")
    return rows if only is None else [row for row in rows if row.name in only]


def _attended(rows: list[CauseSpec], spec: OperationSpec, lots: tuple[Lot, ...]) -> list[CauseSpec]:
    """A table's causes, with the share of stops after which a person starts the job again."""
    share = spec.recovery.by_hand_share
    if share is None:
        first = sum(lot.gpus for lot in lots if lot.joins == 0)
        share = BY_HAND_SHARE if first < AUTOMATED_FROM_GPUS and spec.recovery.policy == "store" else 0.0
    return [row.model_copy(update={"person_share": max(row.person_share, share)}) for row in rows]


def _scaled(rows: list[CauseSpec], failures: FailureSpec, lots: tuple[Lot, ...], fleet: FleetSpec) -> Causes:
    """``scale`` on every rate; with ``job_mtbf_s``, so that the first fleet fails that often."""
    causes = _times(rows, failures.scale)
    if failures.job_mtbf_s is None:
        return causes
    first = sum(lot.gpus for lot in lots if lot.joins == 0)
    per_day = causes.per_1000_node_days() * (first // fleet.gpus_per_node) / 1000.0 + causes.per_day()
    return _times(list(causes.rows), DAY_S / failures.job_mtbf_s / per_day if per_day else 0.0)


def _times(rows: list[CauseSpec], factor: float) -> Causes:
    rates = [{"per_1000_node_days": row.per_1000_node_days * factor, "per_day": row.per_day * factor} for row in rows]
    return Causes(tuple(row.model_copy(update=rate) for row, rate in zip(rows, rates, strict=True)))
