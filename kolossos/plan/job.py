"""Job: what is to be trained, and on what: the question that a search answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np

from kolossos.errors import InputError
from kolossos.plan.calibrated.shifts import Shifts, shifted
from kolossos.plan.choices import NAMES
from kolossos.plan.columns import LayoutColumns, ModelColumns
from kolossos.plan.kernels.precisions import usable_precisions
from kolossos.plan.rates.hardware import HardwareColumns
from kolossos.plan.rates.software import SoftwareColumns, load_software
from kolossos.plan.rules.rule import Bounds
from kolossos.plan.setting import Setting
from kolossos.specs.catalogue import load_gpu
from kolossos.specs.cluster import ClusterSpec, FabricSpec, PoolSpec, PowerSpec
from kolossos.specs.counts import count_parameters
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import load_family
from kolossos.specs.layout import Layout, Precision
from kolossos.specs.model import ModelSpec

DEFAULT_SOFTWARE = "megatron-2025"
DEFAULT_SEQ_LEN = 8192
MEMORY_MARGIN = 0.08
"""Of a card's memory, kept free: fragments of the allocator, and what other software holds. Llama 70B tuned on 32 H100
ran out of memory in 30 to 60 % of its runs at 93 % of the card as planned here, and fitted at 92 %; one case only
(NVIDIA-NeMo/Megatron-Bridge pull 3107)."""
BATCH_SLACK = 0.1
"""A batch that was not asked for exactly may be so much larger or smaller, so that more numbers of GPUs divide it."""
BATCH_TOKENS = (
    (1e9, 0.5e6, "as GPT-3 models below 1 B parameters (arXiv:2005.14165, table 2.1)"),
    (20e9, 4e6, "as Llama 2 7B and 13B (arXiv:2307.09288, table 1)"),
    (100e9, 8e6, "as Llama 3 405B in its second phase (arXiv:2407.21783, section 3.4.1)"),
    (np.inf, 16e6, "as Llama 3 405B in its last phase (arXiv:2407.21783, section 3.4.1)"),
)
"""Parameters up to which, tokens of a global batch, and the published run that it follows."""
SPARSE_BATCH_TOKENS = (63e6, "as DeepSeek-V3 (arXiv:2412.19437, section 4.2)")
"""For mixtures of experts above 100 B parameters."""


@dataclass(frozen=True)
class Job:
    """One model on ``n_gpus`` cards of one kind; batch in sequences, length in tokens."""

    model: ModelSpec
    gpu: GpuSpec
    n_gpus: int
    nvlink_domain: int
    fabric: FabricSpec
    power: PowerSpec
    usd_per_gpu_hour: float
    seq_len: int
    batch: float
    batch_slack: float
    precisions: tuple[Precision, ...]
    software: str = DEFAULT_SOFTWARE
    empty_chunks: bool = True
    """Whether a search may give the embedding or the head a chunk of its own."""
    memory_margin: float = MEMORY_MARGIN
    """Share of the card's memory that a layout must leave free."""
    any_schedule: bool = False
    """Whether a search may choose a schedule that ``software`` does not have."""
    shifts: Shifts = field(default_factory=dict)
    """By what a measured step of somebody's own moves the coefficients."""

    @classmethod
    def of(
        cls,
        model: ModelSpec,
        cluster: ClusterSpec,
        pool: PoolSpec | None = None,
        *,
        n_gpus: int | None = None,
        seq_len: int | None = None,
        global_batch: int | None = None,
        global_batch_tokens: float | None = None,
        precision: Precision | None = None,
        software: str = DEFAULT_SOFTWARE,
        any_schedule: bool = False,
        memory_margin: float = MEMORY_MARGIN,
    ) -> Self:
        """The job of ``model`` on one pool of ``cluster`` (the only one, if not named), with stated defaults."""
        pool = pool or cluster.pools[0]
        gpu = load_gpu(pool.gpu)
        load_software().named(software)
        length = seq_len or min(model.max_seq_len, DEFAULT_SEQ_LEN)
        exact = global_batch is not None
        wanted = float(global_batch) if exact else (global_batch_tokens or default_batch_tokens(model)[0]) / length
        return cls(
            model=model,
            gpu=gpu,
            n_gpus=n_gpus or pool.count,
            nvlink_domain=pool.nvlink_domain,
            fabric=cluster.fabric,
            power=cluster.power,
            usd_per_gpu_hour=pool.usd_per_gpu_hour or gpu.usd_per_hour or 0.0,
            seq_len=length,
            batch=max(wanted, 1.0),
            batch_slack=0.0 if exact else BATCH_SLACK,
            precisions=_precisions(gpu, precision),
            software=software,
            any_schedule=any_schedule,
            memory_margin=memory_margin,
        )

    @property
    def usable_bytes(self) -> float:
        """Of a card's memory, less what is to stay free."""
        return self.gpu.memory_bytes * (1.0 - self.memory_margin)

    @property
    def measured_software(self) -> str | None:
        """The generation whose errors bound a prediction: None on processors, where no published run was measured."""
        return None if load_family(self.gpu.family).is_processor else self.software

    @property
    def bounds(self) -> Bounds:
        """What the rules are held against."""
        return Bounds.of(self.model, self.gpu, self.nvlink_domain, self.n_gpus)

    @property
    def schedules(self) -> tuple[str, ...]:
        """The schedules that a search may choose."""
        known = load_software().named(self.software).schedules
        return tuple(name for name in NAMES["schedule"] if self.any_schedule or name in known)

    @cached_property
    def _surroundings(self) -> tuple[ModelColumns, HardwareColumns, SoftwareColumns]:
        hardware = HardwareColumns.of(self.gpu, self.nvlink_domain, self.fabric)
        software = SoftwareColumns.of(load_software().named(self.software))
        return ModelColumns.of(self.model), *shifted(hardware, software, self.shifts)

    def setting(self, layouts: LayoutColumns) -> Setting:
        """Everything that the closed form asks for, for an array of layouts."""
        parallel = np.asarray(layouts.tp > 1, dtype=np.float64)
        return Setting(*self._surroundings, layout=layouts, sequence_parallel=parallel)

    def setting_of(self, layouts: Sequence[Layout]) -> Setting:
        """The same with one row for each of ``layouts``."""
        return self.setting(LayoutColumns.stack([LayoutColumns.of(layout) for layout in layouts]))

    def with_layout(self, layout: Layout) -> Self:
        """The same job, with the sequence and batch of a given layout."""
        return replace(self, seq_len=layout.seq_len, batch=float(layout.global_batch_size), batch_slack=0.0)


def default_batch_tokens(model: ModelSpec) -> tuple[float, str]:
    """Tokens of a global batch that a published run of a model of this size used, and which run."""
    parameters = count_parameters(model).total
    if model.moe and parameters > 100e9:
        return SPARSE_BATCH_TOKENS
    return next((tokens, source) for limit, tokens, source in BATCH_TOKENS if parameters < limit)


def _precisions(gpu: GpuSpec, asked: Precision | None) -> tuple[Precision, ...]:
    """The one asked for; else all that the card has but 4 bits, which few runs have shown to train well."""
    usable = usable_precisions(gpu)
    if not usable:
        raise InputError(f"{gpu.name}: its kernels were never measured; `kolossos calibrate` measures a machine")
    if asked is None:
        return tuple(name for name in usable if name != "nvfp4")
    if asked not in usable:
        raise InputError(f"precision {asked}: {gpu.name} cannot train in it; it can in {', '.join(usable)}")
    return (asked,)
