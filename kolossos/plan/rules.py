"""Which layouts can be: the rules that Megatron-class software and the hardware set, as masks over columns.

A search asks ``broken`` for a whole array of layouts; a person's one layout goes through ``check``, which names the
rule and says what would be right. Both read the same table. Sources: Megatron-LM's argument checks
(megatron/training/arguments.py, validate_args, NVIDIA/Megatron-LM@307dcf3) and ``kolossos.specs.layout``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kolossos.errors import InputError
from kolossos.plan.columns import PRECISIONS, LayoutColumns, ModelColumns
from kolossos.plan.divisibility import Mask, divides, fills_chunks
from kolossos.plan.precisions import usable_precisions
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
    def of(cls, model: ModelSpec, gpu: GpuSpec, nvlink_domain: int, n_gpus: int, tp_leaves_domain: bool = False):
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


def broken(layouts: LayoutColumns, bounds: Bounds) -> NDArray[np.int8]:
    """For each layout the index in RULES of the first rule that it breaks, or -1."""
    first = np.full(np.broadcast_shapes(*(np.shape(getattr(layouts, n)) for n in _FIELDS)), -1, dtype=np.int8)
    for index, rule in reversed(list(enumerate(RULES))):
        first[np.broadcast_to(~rule.allows(layouts, bounds), first.shape)] = index
    return first


def check(layout: Layout, bounds: Bounds) -> None:
    """InputError naming the first rule that ``layout`` breaks."""
    index = int(broken(LayoutColumns.of(layout), bounds))
    if index >= 0:
        raise InputError(f"layout {describe(layout)}: {RULES[index].name}: {RULES[index].says(layout, bounds)}")


def describe(layout: Layout) -> str:
    """The parallel degrees that differ from one, and the micro-batch."""
    degrees = [f"{name}={getattr(layout, name)}" for name in ("tp", "pp", "vp", "cp", "ep", "etp", "dp_shard")]
    shown = [text for text in degrees if not text.endswith("=1")]
    if layout.dp_replicate > 1:
        shown.append(f"dp_replicate={layout.dp_replicate}")
    return " ".join([*shown, f"micro_batch_size={layout.micro_batch_size}"])


def _tp_kv(layout: LayoutColumns, bounds: Bounds) -> Mask:
    kv = bounds.model.n_kv_heads
    return divides(layout.tp, kv) | divides(kv, layout.tp) | (bounds.model.mla > 0)


def _tp_widths(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return divides(layout.tp, bounds.model.ffn_dim) & divides(layout.tp, bounds.model.shared_dim)


def _tp_domain(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return divides(layout.tp, np.float64(bounds.nvlink_domain)) | bounds.tp_leaves_domain


def _chunks(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return fills_chunks(bounds.model.n_layers, layout.pp, layout.vp)


def _experts(layout: LayoutColumns, bounds: Bounds) -> Mask:
    experts = bounds.model.n_experts
    return np.where(experts > 0, divides(layout.ep, experts), (layout.ep == 1) & (layout.etp == 1)) > 0


def _expert_ranks(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return divides(layout.ep * layout.etp, layout.tp * layout.cp * layout.dp)


def _expert_width(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return divides(layout.etp, bounds.model.expert_dim) & divides(layout.etp, layout.tp)


def _sequence(layout: LayoutColumns, bounds: Bounds) -> Mask:
    pieces = np.where(layout.cp > 1, 2 * layout.cp, 1) * layout.tp
    return divides(pieces, layout.seq_len)


def _batch(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return divides(layout.micro_batch_size * layout.dp, layout.global_batch_size)


def _interleaved_batch(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return (layout.vp == 1) | divides(layout.pp, layout.micro_batches)


def _precision(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return np.isin(layout.precision, [PRECISIONS.index(name) for name in bounds.precisions])


def _near(value: int, wanted: Callable[[int], bool], limit: int = 4096) -> str:
    """The nearest values around ``value`` that are ``wanted``."""
    below = next((v for v in range(value - 1, 0, -1) if wanted(v)), None)
    above = next((v for v in range(value + 1, limit) if wanted(v)), None)
    return " or ".join(str(v) for v in (below, above) if v is not None)


def _says_tp(layout: Layout, bounds: Bounds, name: str, size: float) -> str:
    return (
        f"tp = {layout.tp} does not divide {name} = {int(size)} of {bounds.name}; "
        f"try tp = {_near(layout.tp, lambda v: size % v == 0, int(size) + 1)}"
    )


def _says_chunks(layout: Layout, bounds: Bounds) -> str:
    layers = int(bounds.model.n_layers)

    def fits(pp: int) -> bool:
        return pp * layout.vp <= layers and bool(fills_chunks(layers, np.float64(pp), layout.vp))

    return (
        f"{layers} layers do not fill pp x vp = {layout.pp * layout.vp} equal chunks (two layers less at the first and "
        f"at the last are allowed); try pp = {_near(layout.pp, fits, layers + 1) or 1}"
    )


def _says_batch(layout: Layout, bounds: Bounds) -> str:
    step = layout.micro_batch_size * layout.data_parallel
    return (
        f"micro_batch_size x dp = {step} does not divide global_batch_size = {layout.global_batch_size}; "
        f"try {max(layout.global_batch_size // step, 1) * step}"
    )


def _says_world(layout: Layout, bounds: Bounds) -> str:
    replica = layout.tp * layout.pp * layout.cp
    most = bounds.n_gpus // replica
    right = f"dp_shard x dp_replicate can be at most {most:,}" if most else f"tp x pp x cp alone is {replica:,}"
    return (
        f"tp x pp x cp x dp_shard x dp_replicate = {layout.world_size:,} GPUs, but there are {bounds.n_gpus:,} "
        f"{bounds.gpus}; {right}"
    )


def _says_precision(layout: Layout, bounds: Bounds) -> str:
    return f"{bounds.gpus} cannot train in {layout.precision}; it can in {', '.join(bounds.precisions)}"


def _axes(names: str) -> frozenset[str]:
    return frozenset(names.split())


RULES: tuple[Rule, ...] = (
    Rule(
        "tp divides the heads",
        _axes("tp"),
        lambda layout, b: divides(layout.tp, b.model.n_heads),
        lambda layout, b: _says_tp(layout, b, "n_heads", float(b.model.n_heads)),
    ),
    Rule(
        "tp divides the key-value heads or is a multiple of them",
        _axes("tp"),
        _tp_kv,
        lambda layout, b: _says_tp(layout, b, "n_kv_heads", float(b.model.n_kv_heads)),
    ),
    Rule(
        "tp divides the MLP's width",
        _axes("tp"),
        _tp_widths,
        lambda layout, b: _says_tp(layout, b, "ffn_dim", float(b.model.ffn_dim or b.model.shared_dim)),
    ),
    Rule(
        "a tp group stays inside an NVLink domain",
        _axes("tp"),
        _tp_domain,
        lambda layout, b: f"tp = {layout.tp} does not divide the domain of {b.nvlink_domain} GPUs",
    ),
    Rule(
        "no more chunks than layers",
        _axes("pp vp"),
        lambda layout, b: layout.pp * layout.vp <= b.model.n_layers,
        lambda layout, b: (
            f"pp x vp = {layout.pp * layout.vp} stages or chunks, but {b.name} has {int(b.model.n_layers)} layers; "
            f"pp can be at most {int(b.model.n_layers) // layout.vp}"
        ),
    ),
    Rule("chunks of whole layers", _axes("pp vp"), _chunks, _says_chunks),
    Rule(
        "vp needs a pipeline",
        _axes("pp vp"),
        lambda layout, b: (layout.vp == 1) | (layout.pp > 1),
        lambda layout, b: f"vp = {layout.vp} cuts stages into chunks, but pp = 1; set vp = 1",
    ),
    Rule(
        "zero-bubble needs a pipeline of undivided stages",
        _axes("pp vp schedule"),
        lambda layout, b: (layout.schedule == 0) | ((layout.pp > 1) & (layout.vp == 1)),
        lambda layout, b: f"schedule = zero-bubble with pp = {layout.pp}, vp = {layout.vp}; it needs pp > 1 and vp = 1",
    ),
    Rule(
        "ep divides the experts",
        _axes("ep etp"),
        _experts,
        lambda layout, b: (
            f"ep = {layout.ep} does not divide the {int(b.model.n_experts)} experts of {b.name}"
            if b.model.n_experts
            else f"{b.name} has no experts; set ep = 1 and etp = 1"
        ),
    ),
    Rule(
        "etp divides the expert's width and tp",
        _axes("tp etp"),
        _expert_width,
        lambda layout, b: f"etp = {layout.etp} must divide expert_dim = {int(b.model.expert_dim)} and tp = {layout.tp}",
    ),
    Rule(
        "experts fill the ranks of a stage",
        _axes("tp cp ep etp dp_shard dp_replicate"),
        _expert_ranks,
        lambda layout, b: (
            f"ep x etp = {layout.ep * layout.etp} does not divide tp x cp x dp = "
            f"{layout.tp * layout.cp * layout.data_parallel}"
        ),
    ),
    Rule(
        "tp and cp divide the sequence",
        _axes("tp cp seq_len"),
        _sequence,
        lambda layout, b: (
            f"seq_len = {layout.seq_len} is not a multiple of {'2 x cp x ' if layout.cp > 1 else ''}tp = "
            f"{(2 * layout.cp if layout.cp > 1 else 1) * layout.tp} (causal cp gives each rank two pieces)"
        ),
    ),
    Rule(
        "micro-batches fill the global batch",
        _axes("micro_batch_size dp_shard dp_replicate global_batch_size"),
        _batch,
        _says_batch,
    ),
    Rule(
        "interleaving works through groups of pp micro-batches",
        _axes("pp vp micro_batch_size dp_shard dp_replicate global_batch_size"),
        _interleaved_batch,
        lambda layout, b: (
            f"with vp > 1, the {layout.accumulation_steps} micro-batches of a step must be a multiple of pp = "
            f"{layout.pp}; try global_batch_size = "
            f"{-(-layout.accumulation_steps // layout.pp) * layout.pp * layout.micro_batch_size * layout.data_parallel}"
        ),
    ),
    Rule(
        "there are enough GPUs",
        _axes("tp pp cp dp_shard dp_replicate"),
        lambda layout, b: layout.world <= b.n_gpus,
        _says_world,
    ),
    Rule(
        "sharded gradients need a step of one micro-batch",
        _axes("sharding micro_batch_size dp_shard dp_replicate global_batch_size"),
        lambda layout, b: (layout.sharding != 2) | (layout.micro_batches <= 1),
        lambda layout, b: (
            f"sharding = gradients would reduce in each of the {layout.accumulation_steps} micro-batches of a step, "
            "which is not priced; use optimizer or parameters"
        ),
    ),
    Rule("the card has the precision", _axes("precision"), _precision, _says_precision),
)
_FIELDS = tuple(LayoutColumns.__dataclass_fields__)
