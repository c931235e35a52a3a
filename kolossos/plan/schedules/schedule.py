"""Schedule: in which order a pipeline works through its micro-batches, and all that follows from it.

One schedule is one class in one file of this folder, found by its file and allowed by its name in ``Layout``. The
closed form asks it over columns of layouts, the event schedule for the order of passes. A class that inherits a
method shares its formula: rows of both are then computed together.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.choices import code
from kolossos.plan.columns import Column, LayoutColumns
from kolossos.plan.layers import Stages
from kolossos.plan.schedules.tasks import Task
from kolossos.plan.setting import Setting

Mask = NDArray[np.bool_]
Orders = list[list[Task]]
"""What each stage does in one step, first to last."""


@dataclass(frozen=True)
class StagePasses:
    """Seconds of one micro-batch on the fullest stage, all its chunks together."""

    forward: Column
    backward: Column
    """Without weight gradients if these are passes of their own."""
    weight_gradient: Column
    """0 but in schedules that split backward."""
    head: Column
    """What the last stage does more, forward and backward."""
    embedding: Column
    """What the first stage does more (the traffic of its matrix, under FSDP)."""


class InFlight(NamedTuple):
    """Micro-batches whose activations are alive at once, at most; a chunk counts 1 / vp."""

    first: Column
    last: Column


class Schedule(ABC):
    """One way to order the passes of a pipeline."""

    name: ClassVar[str]
    """As in ``Layout``."""
    splits_backward: ClassVar[bool] = False
    """Whether weight gradients are passes of their own, apart from those of the inputs."""
    needs: ClassVar[str] = ""
    """In words what the layout must have, where ``allows`` is not true of all."""
    right: ClassVar[str] = ""
    """The same as a person would set it."""

    @property
    def code(self) -> int:
        """Its number in columns."""
        return code("schedule", self.name)

    def allows(self, pp: Column, vp: Column) -> Mask:
        """Where it can be combined with ``pp`` stages of ``vp`` chunks."""
        return np.ones(np.broadcast_shapes(np.shape(pp), np.shape(vp)), dtype=bool)

    @abstractmethod
    def pipeline_seconds(self, passes: StagePasses, stage: Stages, setting: Setting) -> Column:
        """From the first forward to the last backward of ``micro_batches``, hops not counted: work and bubble."""

    @abstractmethod
    def hops_that_show(self, setting: Setting) -> Column:
        """How many hops from stage to stage a step waits for."""

    @abstractmethod
    def in_flight(self, layout: LayoutColumns) -> InFlight:
        """Activations on the first stage and on the last."""

    @abstractmethod
    def alive_on(self, stage: int, pp: int, vp: int, n_micro: int) -> float:
        """Micro-batches whose activations stage number ``stage`` of one layout holds at once."""

    @abstractmethod
    def orders(self, pp: int, vp: int, n_micro: int) -> list[Orders]:
        """The orders that it may be played in: the fastest is (where there are several, as the first if none is)."""
