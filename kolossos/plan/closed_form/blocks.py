"""Seconds of the blocks of a layer for one micro-batch: what computes, what is cast, what talks and is not hidden.

A block is attention, a dense MLP, a layer of experts, or the head. Hiding is worked out from what runs at the same
time: a tp collective against the product it feeds, ring attention against the attention core, an all-to-all against
the other products of the layer; whatever is longer shows.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from kolossos.plan.choices import Precision
from kolossos.plan.closed_form.collectives import Group, all_to_all_seconds, gather_seconds, send_seconds
from kolossos.plan.closed_form.layer_kernels import LayerKernels
from kolossos.plan.closed_form.work import BF16_BYTES, elementwise_bytes, expert_tokens, has_experts, tokens
from kolossos.plan.columns import Column, Columns
from kolossos.plan.setting import Setting


@dataclass(frozen=True)
class Seconds(Columns):
    """One pass (forward or backward) of one block, by what the time goes to; communication that stays visible."""

    matmul: Column
    attention: Column
    elementwise: Column
    quantize: Column
    overhead: Column
    tp_exposed: Column
    tp_hidden: Column
    cp_exposed: Column
    cp_hidden: Column
    ep_exposed: Column
    ep_hidden: Column
    contention: Column
    """Products that run slower while a collective beside them holds some of the multiprocessors."""

    @property
    def total(self) -> Column:
        """What the clock sees."""
        computed = self.matmul + self.attention + self.elementwise + self.quantize + self.overhead + self.contention
        return computed + self.tp_exposed + self.cp_exposed + self.ep_exposed

    @property
    def computing(self) -> Column:
        """Seconds in which the GPU computes: neither gaps between kernels nor communication that shows."""
        return self.matmul + self.attention + self.elementwise + self.quantize

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __mul__(self, factor: Column | float) -> "Seconds":
        return Seconds(**{f.name: getattr(self, f.name) * factor for f in fields(self)})

    @classmethod
    def none(cls) -> Self:
        """Nothing at all."""
        return cls(**{f.name: np.zeros(()) for f in fields(cls)})


@dataclass(frozen=True)
class Block:
    """Forward and backward of one block, the part of backward that only weights need, and what 'selective' repeats."""

    forward: Seconds
    backward: Seconds
    weight_gradient: Column
    selective: Seconds


@dataclass(frozen=True)
class Blocks:
    """The blocks; ``state`` only where layers have one."""

    attention: Block
    dense: Block
    experts: Block
    head: Block
    state: Block | None = None
    kinds: tuple["Blocks", ...] = ()
    """One by one, where the model has several kinds of layer."""


def blocks(kernels: LayerKernels, setting: Setting) -> Blocks:
    """Price the blocks from their kernels."""
    if kernels.kinds:
        pairs = zip(kernels.kinds, setting.by_kind(), strict=True)
        kinds = tuple(blocks(own, kind) for own, kind in pairs)
        return replace(kinds[0], kinds=kinds)
    moved = elementwise_bytes(setting.model, setting.layout, setting.sequence_parallel)
    scale, slow = matmul_scale(setting), setting.hardware.matmul_scale_bf16
    tp_forward, tp_backward = _tp(setting)
    core = _core(kernels, setting, moved.scores)
    cp = _ring(setting, core)
    k, alone = kernels, 1.0 - setting.model.parallel  # else attention has gathered what the MLP reads
    attention = _block(
        setting,
        _scaled((k.attention_forward, k.attention_dx, k.attention_dw), scale, k.attention_at_peak),
        moved.attention,
        k.quantized_bytes_attention,
        (tp_forward, tp_backward),
        core=core,
        cp=cp,
    )
    dense = _block(
        setting,
        _scaled((k.dense_forward, k.dense_dx, k.dense_dw), scale, k.dense_at_peak),
        moved.dense,
        k.quantized_bytes_dense,
        (tp_forward * alone, tp_backward * alone),
    )
    grouped = scale * setting.software.expert_passes
    experts = _block(
        setting,
        _scaled((k.experts_forward, k.experts_dx, k.experts_dw), grouped, k.experts_at_peak),
        moved.experts * setting.software.expert_passes,
        k.quantized_bytes_experts,
        _expert_tp(setting, tp_forward, tp_backward),
        ep=_dispatch(setting),
        beside=(_computing(attention.forward), _computing(attention.backward)),
    )
    state = _state(kernels, setting, moved.state, (tp_forward, tp_backward)) if np.any(k.state_forward) else None
    head = _block(
        setting,
        _scaled((k.head_forward, k.head_dx, k.head_dw), slow, k.head_at_peak),
        moved.head,
        np.zeros(()),
        (tp_forward * 0.5, tp_backward * 0.5),
    )
    return Blocks(attention, dense, experts, head, state)


def _state(kernels: LayerKernels, setting: Setting, moved: Column, tp: tuple[Column, Column]) -> Block:
    """The block of a layer with a state: its chunks are products of 16 bits, at the card's rate for these."""
    k, slow = kernels, setting.hardware.matmul_scale_bf16
    return _block(
        setting,
        _scaled((k.state_forward, k.state_dx, k.state_dw), matmul_scale(setting), k.state_at_peak),
        moved,
        k.quantized_bytes_state,
        tp,
        core=(k.state_core_forward * slow, k.state_core_backward * slow),
    )


Passes = tuple[Column, Column, Column]


def _scaled(products: Passes, scale: Column, at_peak: Column) -> Passes:
    """Products under load, never faster than the card's peak."""
    forward, dx, dw = (np.maximum(seconds * scale, at_peak) for seconds in products)
    return forward, dx, dw


def matmul_scale(setting: Setting) -> Column:
    """The card's slow-down under load at the layout's precision."""
    hardware, precision = setting.hardware, setting.layout.precision
    low = np.where(precision >= Precision.NVFP4, hardware.matmul_scale_fp4, hardware.matmul_scale_fp8)
    return np.where(precision <= Precision.BF16, hardware.matmul_scale_bf16, low)


def _core(kernels: LayerKernels, setting: Setting, score_bytes: Column) -> tuple[Column, Column]:
    """The attention core, forward and backward: fused, or with scores written and read (softmax, mask, dropout)."""
    hardware, software = setting.hardware, setting.software
    scale = hardware.attention_scale * software.attention_scale
    products = kernels.scores_forward * hardware.matmul_scale_bf16
    passes = score_bytes / hardware.memory_bytes_per_s * software.attention_scale
    fused = software.flash_attention > 0
    forward = np.where(fused, kernels.core_forward * scale, products + 5 * passes)
    backward = np.where(fused, kernels.core_backward * scale, 2 * products + 7 * passes)
    return forward, backward


def _tp(setting: Setting) -> tuple[Column, Column]:
    """Seconds of the tp collectives of one block: an all-gather and a reduce-scatter forward (or one all-reduce);
    backward the same, and with sequence parallelism one more gather of the input (arXiv:2205.05198, section 4.2.2)."""
    layout = setting.layout
    size = tokens(layout) * setting.model.dim * BF16_BYTES
    once = gather_seconds(size, Group(layout.tp, np.ones(())), setting.hardware)
    active = (layout.tp > 1) * once
    again = (setting.sequence_parallel > 0) * setting.software.gathers_again
    return 2 * active, (2 + again) * active


def _expert_tp(setting: Setting, forward: Column, backward: Column) -> tuple[Column, Column]:
    """Experts that are not cut (etp = 1) need no tp collectives of their own."""
    cut = setting.layout.etp > 1
    copies = np.where(setting.software.etp_before_dispatch > 0, 1.0, setting.model.top_k)
    return np.where(cut, forward * copies, 0.0), np.where(cut, backward * copies, 0.0)


def dispatched_bytes(setting: Setting) -> Column:
    """What one rank sends to all ranks of ep (itself among them) in one dispatch, and gets back in one combine."""
    layout, model = setting.layout, setting.model
    senders = np.where(setting.software.etp_before_dispatch > 0, 1.0, layout.etp)  # ranks that share those rows out
    return expert_tokens(model, layout) / senders * model.expert_in * BF16_BYTES * has_experts(model)


def _ring(setting: Setting, core: tuple[Column, Column]) -> tuple[tuple[Column, Column], tuple[Column, Column]]:
    """(exposed, hidden) of ring attention, forward and backward: keys and values pass round while the core works."""
    layout, model = setting.layout, setting.model
    width = 2 * np.maximum(model.n_kv_heads / layout.tp, 1.0) * model.head_dim
    block = tokens(layout) * width * BF16_BYTES
    hop = send_seconds(block, layout.tp * (layout.cp - 1), setting.hardware) * model.attention
    results = []
    backward = 1.0 + setting.software.gathers_again  # keys and values once more, and their gradients
    for seconds, tensors in ((core[0], 1.0), (core[1], backward)):
        talk = (layout.cp - 1) * hop * tensors
        exposed = np.maximum(talk - seconds * (layout.cp - 1) / layout.cp, 0.0)
        results.append((exposed, talk - exposed))
    return results[0], results[1]


def _dispatch(setting: Setting) -> Column:
    """Seconds of one dispatch and one combine: every routed token travels to its expert and back.

    A deduplicating dispatcher sends a token once to each rank, and once to each domain, that has one of its experts:
    of G places, top_k uniform choices hit G (1 - (1 - 1/G)^top_k).
    """
    layout, model = setting.layout, setting.model
    sent = dispatched_bytes(setting)
    group = Group(layout.ep, layout.etp)
    inside = group.inside(setting.hardware)
    domains, k = layout.ep / inside, model.top_k
    ranks_hit = layout.ep * (1.0 - (1.0 - 1.0 / layout.ep) ** k)
    domains_hit = (domains - 1.0) * (1.0 - (1.0 - 1.0 / domains) ** k)
    dedup = setting.software.ep_deduplicates > 0
    within = np.where(dedup, ranks_hit / np.maximum(k, 1.0), 1.0)
    across = np.where(dedup, domains_hit / np.maximum(k * (1.0 - 1.0 / domains), 1e-9), 1.0)
    return 2 * all_to_all_seconds(sent, group, setting.hardware, within, across) * (layout.ep > 1)


def _block(
    setting: Setting,
    products: tuple[Column, Column, Column],
    moved: Column,
    cast: Column,
    tp: tuple[Column, Column],
    *,
    core: tuple[Column, Column] | None = None,
    cp: tuple[tuple[Column, Column], tuple[Column, Column]] | None = None,
    ep: Column | None = None,
    beside: tuple[Column, Column] | None = None,
) -> Block:
    software, hardware, layout = setting.software, setting.hardware, setting.layout
    forward, dx, dw = products
    zero = np.zeros(())
    stream = moved * software.elementwise_passes / hardware.memory_bytes_per_s
    low = layout.precision > Precision.BF16
    casting = np.where(low, cast * software.quantize_passes / hardware.memory_bytes_per_s, 0.0)
    present = (forward > 0) * 1.0
    passes = []
    for i, matmul in enumerate((forward, dx + dw)):
        tp_exposed = _not_hidden(tp[i] * present, matmul * (layout.tp - 1) / layout.tp, software.tp_overlap)
        talk = zero if ep is None else ep * present
        behind = matmul + (beside[i] if beside else zero)
        ep_exposed = _not_hidden(talk, behind, software.ep_overlap)
        cp_exposed, cp_hidden = cp[i] if cp else (zero, zero)
        tp_hidden, ep_hidden = tp[i] * present - tp_exposed, talk - ep_exposed
        passes.append(
            Seconds(
                matmul=matmul,
                attention=core[i] if core else zero,
                elementwise=stream * (1 + i) * present,
                quantize=casting * (1 + i),
                overhead=software.layer_overhead_s / 2 * (1 + i) * present,
                tp_exposed=tp_exposed,
                tp_hidden=tp_hidden,
                cp_exposed=cp_exposed,
                cp_hidden=cp_hidden,
                ep_exposed=ep_exposed,
                ep_hidden=ep_hidden,
                contention=(tp_hidden + cp_hidden + ep_hidden) * hardware.collective_share,
            )
        )
    again = Seconds.none()
    repeated = Seconds(
        **{
            **again.__dict__,
            "matmul": forward * software.selective_linear,
            "elementwise": stream * present,
            "attention": (core[0] if core else zero) * software.selective_attention,
        }
    )
    return Block(passes[0], passes[1], dw, repeated)


def _computing(seconds: Seconds) -> Column:
    return seconds.matmul + seconds.attention + seconds.elementwise


def _not_hidden(talk: Column, work: Column, overlaps: Column) -> Column:
    return np.where(overlaps > 0, np.maximum(talk - work, 0.0), talk)
