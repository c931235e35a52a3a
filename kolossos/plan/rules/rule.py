"""What a rule is, and what rules are held against."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from kolossos.plan.columns import LayoutColumns, ModelColumns
from kolossos.plan.kernels.precisions import usable_precisions
from kolossos.plan.rules.divisibility import Mask
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.layout import Layout, Precision
from kolossos.specs.model import ModelSpec


@dataclass(frozen=True)
class Bounds:
    """What the rules are held against besides the layout itself."""

    model: ModelColumns
    name: str
    nvlink_domain: int
    precisions: tuple[Precision, ...]
    n_gpus: int
    gpus: str
    tp_leaves_domain: bool = False

    @classmethod
    def of(
        cls, model: ModelSpec, gpu: GpuSpec, nvlink_domain: int, n_gpus: int, tp_leaves_domain: bool = False
    ) -> Self:
        """Bounds of ``n_gpus`` cards of one kind."""
        able = usable_precisions(gpu)
        return cls(ModelColumns.of(model), model.name, nvlink_domain, able, n_gpus, gpu.name, tp_leaves_domain)


@dataclass(frozen=True)
class Rule:
    """``allows`` is true where a layout keeps the rule; ``says`` explains a break of it, with what would be right."""

    name: str
    axes: frozenset[str]
    """The numbers of a layout that the rule asks for: an enumeration applies it as soon as it has chosen these."""
    allows: Callable[[LayoutColumns, Bounds], Mask]
    says: Callable[[Layout, Bounds], str]
