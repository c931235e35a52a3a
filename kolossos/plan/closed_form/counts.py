"""What the closed form counts before any clock is asked: FLOPs, bytes on each axis and states of one rank of a step.

The same shapes, rows and parameters that the seconds are made of, so that they can be held against a traced program
(`kolossos trace`). Of one layout: columns of one row, or scalars.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.choices import Recompute, Sharding
from kolossos.plan.closed_form.blocks import dispatched_bytes
from kolossos.plan.closed_form.memory import MASTER_BYTES, MOMENTS_BYTES
from kolossos.plan.closed_form.parameters import layer_parameters, stage_of_layers, vocabulary_copies
from kolossos.plan.closed_form.work import BF16_BYTES, Part, matmuls, tokens
from kolossos.plan.columns import Column, scalar
from kolossos.plan.kernels.measured import BACKWARD_FLOPS
from kolossos.plan.layers import chunk_layers
from kolossos.plan.setting import Setting
from kolossos.specs.counts import attention_flops_per_token
from kolossos.specs.model import ModelSpec

PASSES = 3.0  # a product forward, and two of its size backward


@dataclass(frozen=True)
class RankCounts:
    """Of one rank of a stage and one step. flops: by kind. sent_bytes: by axis, as rings put them on the wire.

    weights_bytes, optimizer_bytes, gradients_bytes: held between steps; master weights count as weights.
    """

    flops: dict[str, float]
    sent_bytes: dict[str, float]
    weights_bytes: float
    optimizer_bytes: float
    gradients_bytes: float


@dataclass(frozen=True)
class _Share:
    """What a stage has: layers by chunk, and which ends of the model."""

    chunks: list[int]
    first: bool
    last: bool

    @property
    def layers(self) -> int:
        return sum(self.chunks)


def counts_of_rank(model: ModelSpec, setting: Setting, stage: int) -> RankCounts:
    """The counts of a rank of ``stage`` (0 has the embedding), for one layout of ``model``."""
    pp, vp = int(scalar(setting.layout.pp)), int(scalar(setting.layout.vp))
    share = _Share(chunk_layers(model.n_layers, pp, vp)[stage], stage == 0, stage == pp - 1)
    held = _held(setting, share)
    return RankCounts(
        _flops(model, setting, share),
        _sent(setting, share, pp, vp),
        held * MASTER_BYTES,
        held * MOMENTS_BYTES,
        held * scalar(setting.software.gradient_bytes),
    )


def _flops(model: ModelSpec, setting: Setting, share: _Share) -> dict[str, float]:
    layout = setting.layout
    micro, t = scalar(layout.micro_batches), scalar(tokens(layout))
    again = {
        Recompute.NONE: (0.0, 0.0),
        Recompute.SELECTIVE: (0.0, 1.0),
        Recompute.FULL: (1.0, 1.0),
    }[Recompute(int(scalar(layout.recompute)))]  # of attention and its projections, of the feed-forward branch
    routed_by_all = setting.software.etp_before_dispatch * (layout.etp > 1)
    flops = {"products": 0.0, "experts": 0.0}
    for product in matmuls(setting.model, layout):
        number = float(share.last) if product.part is Part.HEAD else share.layers
        passes = PASSES + again[product.part is not Part.ATTENTION] * (product.part is not Part.HEAD)
        kind = "experts" if product.part is Part.EXPERTS else "products"
        times = np.where(routed_by_all, layout.tp, 1.0) if product.part is Part.ROUTER else 1.0
        flops[kind] += scalar(product.flops * times) * number * passes * micro
    core = attention_flops_per_token(model, int(scalar(layout.seq_len))) / model.n_layers * share.layers
    passes = 1.0 + BACKWARD_FLOPS + again[0]
    flops["attention"] = core * t / scalar(layout.tp) * passes * micro
    return flops


def _sent(setting: Setting, share: _Share, pp: int, vp: int) -> dict[str, float]:
    layout, model, software = setting.layout, setting.model, setting.software
    micro, t = scalar(layout.micro_batches), scalar(tokens(layout))
    tp, cp, ep = (scalar(degree) for degree in (layout.tp, layout.cp, layout.ep))
    again = scalar(software.gathers_again)
    recomputed = int(scalar(layout.recompute))
    stream = t * scalar(model.dim) * BF16_BYTES
    copies = 1.0 if scalar(software.etp_before_dispatch) else scalar(model.top_k)
    cut = float(scalar(layout.etp) > 1) * copies * (scalar(model.n_moe_layers) > 0) + (scalar(model.ffn_dim) > 0)
    whole, part = float(recomputed == Recompute.FULL), float(recomputed != Recompute.NONE)
    blocks = (4.0 + again + 2.0 * whole) + (4.0 + again + 2.0 * part) * cut
    heads = 2 * max(scalar(model.n_kv_heads) / tp, 1.0) * scalar(model.head_dim)
    hidden = stream / tp
    chunks = vp * pp
    numbers = [place for place in range(chunks) if place % pp == (0 if share.first else pp - 1 if share.last else 1)]
    forward = sum(number < chunks - 1 for number in numbers) if share.last else vp
    backward = sum(number > 0 for number in numbers) if share.first else vp
    sent = {
        "tp": share.layers * micro * stream * blocks * (tp - 1) / tp,
        "cp": share.layers * micro * t * heads * BF16_BYTES * (cp - 1) * (2.0 + again + whole),
        "ep": share.layers * micro * scalar(dispatched_bytes(setting)) * (4.0 + 2.0 * part) * (ep - 1) / ep,
        "pp": hidden * micro * (forward + backward) if pp > 1 else 0.0,
    }
    for axis, size in _parameters_sent(setting, share, pp).items():
        sent[axis] = sent.get(axis, 0.0) + size
    return sent


def _parameters_sent(setting: Setting, share: _Share, pp: int) -> dict[str, float]:
    """Parameters gathered, gradients added up among those that share them, then among replicas."""
    layout, software = setting.layout, setting.software
    micro, sharding = scalar(layout.micro_batches), int(scalar(layout.sharding))
    inside = sharding == Sharding.PARAMETERS
    gathers = {"layers": 2.0 * micro if inside else 1.0, "vocabulary": micro if inside else 1.0}
    reductions = micro if sharding in (Sharding.GRADIENTS, Sharding.PARAMETERS) else 1.0
    gradient, gathered = min(scalar(software.gradient_bytes), 4.0), scalar(software.gather_bytes)
    replicas = scalar(layout.dp_replicate)
    sent = {"dp_shard": 0.0, "dp_replicate": 0.0}
    for what, count, ranks in _groups(setting, share):
        fraction = (ranks - 1.0) / ranks
        sent["dp_shard"] += count * fraction * (gathered * gathers[what] + gradient * reductions)
        sent["dp_replicate"] += 2 * (replicas - 1.0) / replicas * count / ranks * gradient * reductions
    if pp > 1 and not scalar(setting.model.untied) and (share.first or share.last):
        _, count, ranks = _groups(setting, share)[-1]
        sent["pp"] = 2 * 0.5 * count / ranks * gradient  # an all-reduce of the two ends of a tied embedding
    return sent


def _groups(setting: Setting, share: _Share) -> list[tuple[str, float, float]]:
    """(what, parameters that a rank uses, ranks that share them): of layers, experts, and the vocabulary."""
    layout = setting.layout
    one, none, copies = np.ones(()), np.zeros(()), vocabulary_copies(setting)
    per_layer = layer_parameters(setting.model, layout)
    layer = stage_of_layers(per_layer, setting.model, one, none)
    matrix = stage_of_layers(per_layer, setting.model, none, one * copies).shared
    ends = float(share.first) + float(share.last)
    matrices = ends if scalar(setting.model.untied) else min(ends, 1.0)
    inner = layout.dp_shard * layout.cp
    experts = layout.tp * inner / (layout.ep * layout.etp)
    rows: list[tuple[str, Column, Column]] = [
        ("layers", layer.shared * share.layers, inner),
        ("layers", layer.experts * share.layers, experts),
        ("vocabulary", matrix * matrices, inner * copies),
    ]
    return [(what, scalar(count), max(scalar(ranks), 1.0)) for what, count, ranks in rows]


def _held(setting: Setting, share: _Share) -> float:
    """Parameters of a rank's own shards."""
    return sum(count / ranks for _, count, ranks in _groups(setting, share))
