"""What a recovery policy is: one value, from one file of ``kolossos/simulate/policies``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from kolossos.simulate.failures import Scope
from kolossos.simulate.spec import RecoverySpec, SavingSpec

Array = np.ndarray


@dataclass(frozen=True)
class Copies:
    """Copies of the state that are nearer than the store: how far apart, and how long each blocks the job."""

    every_s: float
    blocking_s: float


@dataclass(frozen=True)
class Policy:
    """What happens after a failure.

    A failure is near if a copy closer than the store outlives it. All others, and silent corruption, start the whole
    job anew from the store's newest checkpoint.
    """

    place: int
    """Among all policies where they are shown together: the plainest first."""
    near: tuple[Scope, ...] = ()
    """Scopes of the failures that are near."""
    copies: Callable[[SavingSpec, float], Copies] | None = None
    """The near copies, at a step time in seconds; None: the store's checkpoints are the only ones."""
    restart_s: Callable[[RecoverySpec, Array], Array | float] = lambda recovery, cold_s: cold_s
    """Seconds from everything at hand to running again after a near failure, given a cold start of the whole job."""
    replicas_alone: bool = False
    """Whether only the data-parallel replica that was hit goes down after a near failure, and comes back later."""
    search: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Keys of ``recovery`` that a search varies beside interval and spares, with the values to try."""


def peer_copies(saving: SavingSpec, step_s: float) -> Copies:
    """Copies in peers' memory, whole steps apart."""
    return Copies(max(round(saving.peer_interval / step_s), 1) * step_s, saving.peer_blocking_s)
