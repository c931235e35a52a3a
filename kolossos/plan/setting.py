"""Setting: everything that a formula may ask for, as columns."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.columns import Column, LayoutColumns, ModelColumns
from kolossos.plan.layers import Stages, stages
from kolossos.plan.rates.hardware import HardwareColumns
from kolossos.plan.rates.software import SoftwareColumns


@dataclass(frozen=True)
class Setting:
    """Models, cards, software and layouts: one of each, or a row for each layout."""

    model: ModelColumns
    hardware: HardwareColumns
    software: SoftwareColumns
    layout: LayoutColumns
    sequence_parallel: Column

    def by_kind(self) -> tuple[Self, ...]:
        """The same for each kind of layer of the model; itself where there is one."""
        return tuple(replace(self, model=kind) for kind in self.model.kinds) or (self,)

    @cached_property
    def stages(self) -> Stages:
        """How the layers fall on the pipeline."""
        return stages(self.model.n_layers, self.layout.pp, self.layout.vp)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The chosen rows; what is one for all stays one."""
        parallel = self.sequence_parallel
        return type(self)(
            self.model.take(rows),
            self.hardware.take(rows),
            self.software.take(rows),
            self.layout.take(rows),
            parallel if parallel.ndim == 0 else parallel[rows],
        )
