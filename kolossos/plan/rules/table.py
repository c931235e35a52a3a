"""The table of rules: each an array's mask, and a sentence for a person.

Sources: Megatron-LM's argument checks (megatron/training/arguments.py, validate_args, NVIDIA/Megatron-LM@307dcf3) and
``kolossos.specs.layout``; schedules bring their own (``plan.schedules``).
"""

from collections.abc import Callable

import numpy as np

from kolossos.plan.choices import Sharding, code
from kolossos.plan.columns import Column, LayoutColumns, ModelColumns
from kolossos.plan.rules.divisibility import Mask, divides, fills_chunks
from kolossos.plan.rules.rule import Bounds, Rule
from kolossos.plan.schedules import all_schedules, rows_of
from kolossos.plan.schedules.schedule import Schedule
from kolossos.specs.layout import Layout


def _every_kind(allows: Callable[[ModelColumns], Mask], bounds: Bounds) -> Mask:
    """Where it is so for every kind of layer."""
    return np.logical_and.reduce([allows(kind) for kind in bounds.model.by_kind()])


def _tp_heads(layout: LayoutColumns, bounds: Bounds) -> Mask:
    return _every_kind(lambda kind: divides(layout.tp, kind.n_heads) & divides(layout.tp, kind.state_heads), bounds)


def _tp_kv(layout: LayoutColumns, bounds: Bounds) -> Mask:
    def allows(kind: ModelColumns) -> Mask:
        own = kind.state_key_heads
        attends = _part_or_multiple(layout.tp, kind.n_kv_heads) | (kind.mla > 0) | (kind.attention == 0)
        return attends & (_part_or_multiple(layout.tp, own) | (own == 0))

    return _every_kind(allows, bounds)


def _part_or_multiple(tp: Column, heads: Column) -> Mask:
    return divides(tp, heads) | divides(np.maximum(heads, 1.0), tp)


def _tp_widths(layout: LayoutColumns, bounds: Bounds) -> Mask:
    def allows(kind: ModelColumns) -> Mask:
        return divides(layout.tp, kind.ffn_dim) & divides(layout.tp, kind.shared_dim)

    return _every_kind(allows, bounds)


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
    return np.isin(layout.precision, [code("precision", name) for name in bounds.precisions])


FARTHEST = 100_000
"""How far a search goes for a value that would be right."""


def _near(value: int, wanted: Callable[[int], bool], limit: int = 4096) -> str:
    """The nearest values around ``value`` that are ``wanted``, none above ``limit``."""
    highest = min(value - 1, limit, FARTHEST)
    below = next((v for v in range(highest, 0, -1) if wanted(v)), None)
    above = next((v for v in range(value + 1, min(limit, value + FARTHEST)) if wanted(v)), None)
    return " or ".join(str(v) for v in (below, above) if v is not None)


def _widths(bounds: Bounds, *names: str) -> list[int]:
    """The different widths of these names over the kinds of layer, none of them zero."""
    found = [int(getattr(kind, name)) for name in names for kind in bounds.model.by_kind()]
    return sorted({width for width in found if width})


def _says_tp(layout: Layout, bounds: Bounds, name: str, *sizes: int) -> str:
    size = next((size for size in sizes if size % layout.tp), sizes[0])
    return (
        f"tp = {layout.tp} does not divide {name} = {size} of {bounds.name}; "
        f"try tp = {_near(layout.tp, lambda v: all(one % v == 0 for one in sizes), size + 1)}"
    )


def _says_chunks(layout: Layout, bounds: Bounds) -> str:
    layers = int(bounds.model.n_layers)

    def fits(pp: int) -> bool:
        return pp * layout.vp <= layers + 2 * (layout.vp > 1) and bool(fills_chunks(layers, np.float64(pp), layout.vp))

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


def _schedule_rule(schedule: Schedule) -> Rule:
    """What one schedule may be combined with."""
    return Rule(
        f"{schedule.name} needs {schedule.needs}",
        _axes("pp vp schedule"),
        lambda layout, b: ~rows_of(schedule, layout) | schedule.allows(layout.pp, layout.vp),
        lambda layout, b: (
            f"schedule = {schedule.name} with pp = {layout.pp}, vp = {layout.vp}; it needs {schedule.right}"
        ),
    )


def _axes(names: str) -> frozenset[str]:
    return frozenset(names.split())


RULES: tuple[Rule, ...] = (
    Rule(
        "tp divides the heads",
        _axes("tp"),
        _tp_heads,
        lambda layout, b: _says_tp(layout, b, "n_heads", *_widths(b, "n_heads", "state_heads")),
    ),
    Rule(
        "tp divides the key-value heads or is a multiple of them",
        _axes("tp"),
        _tp_kv,
        lambda layout, b: _says_tp(layout, b, "n_kv_heads", *_widths(b, "n_kv_heads", "state_key_heads")),
    ),
    Rule(
        "tp divides the MLP's width",
        _axes("tp"),
        _tp_widths,
        lambda layout, b: _says_tp(layout, b, "ffn_dim", *_widths(b, "ffn_dim", "shared_dim")),
    ),
    Rule(
        "a tp group stays inside an NVLink domain",
        _axes("tp"),
        _tp_domain,
        lambda layout, b: f"tp = {layout.tp} does not divide the domain of {b.nvlink_domain} GPUs",
    ),
    Rule(
        "no more chunks than layers, embedding and head",
        _axes("pp vp"),
        lambda layout, b: layout.pp * layout.vp <= b.model.n_layers + 2 * (layout.vp > 1),
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
    *(_schedule_rule(schedule) for schedule in all_schedules() if schedule.needs),
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
        lambda layout, b: (layout.sharding != Sharding.GRADIENTS) | (layout.micro_batches <= 1),
        lambda layout, b: (
            f"sharding = gradients would reduce in each of the {layout.accumulation_steps} micro-batches of a step, "
            "which is not priced; use optimizer or parameters"
        ),
    ),
    Rule("the card has the precision", _axes("precision"), _precision, _says_precision),
)
