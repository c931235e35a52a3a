"""Traffic of parameters and gradients between the ranks that share them, and how much of it shows.

Sharding: ZeRO (arXiv:1910.02054), FSDP (arXiv:2304.11277). One bucket is a layer, or a vocabulary matrix. Gradients
are reduced behind the backward pass of the last micro-batch, parameters are gathered ahead of the forward pass of the
first (arXiv:2006.15704, section 3.2.3); FSDP does both in every pass.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.choices import Sharding
from kolossos.plan.closed_form.collectives import Group, gather_seconds, ring
from kolossos.plan.closed_form.parameters import layer_parameters, stage_of_layers, vocabulary_copies
from kolossos.plan.columns import Column
from kolossos.plan.layers import Stages
from kolossos.plan.schedules.schedule import Mask
from kolossos.plan.setting import Setting


@dataclass(frozen=True)
class Traffic:
    """Seconds of one bucket: all-gather of its parameters in bf16, and reduction of its gradients.

    Without sharding nothing is gathered and the reduction is an all-reduce.
    """

    layer_gather: Column
    layer_reduce: Column
    vocabulary_gather: Column
    vocabulary_reduce: Column


@dataclass(frozen=True)
class DataParallel:
    """What shows in each pass of a stage (FSDP) and once a step, with the contention of what does not; seconds."""

    forward: Column
    backward: Column
    weight_gradient: Column
    embedding: Column
    """What the first stage's embedding adds to every micro-batch."""
    head: Column
    """What the last stage's head adds."""
    once: Column
    once_shown: Column
    once_hidden: Column
    """Below 0 where more shows than the first stage has to send: then a fuller stage behind it holds up the step, and
    ``once`` counts the surplus less its share of contention."""
    shown: Column
    """Of one micro-batch on a full stage, in all passes; hidden: the same of what does not show."""
    hidden: Column
    in_chain: Column
    """Once a step: the last micro-batch's backward is slowed on every other stage that it passes, too."""


def parameter_traffic(setting: Setting) -> Traffic:
    """Rings over the ranks that shard; what is then still replicated is reduced among the replicas."""
    layout = setting.layout
    one, none = np.ones(()), np.zeros(())
    per_layer = layer_parameters(setting.model, layout)
    layer = stage_of_layers(per_layer, setting.model, one, none)
    copies = vocabulary_copies(setting)
    vocabulary = stage_of_layers(per_layer, setting.model, none, one * copies)
    inner = layout.dp_shard * layout.cp
    expert_ranks = np.maximum(layout.tp * inner / (layout.ep * layout.etp), 1.0)
    shared = _rings(layer.shared, inner, layout.tp, setting)
    experts = _rings(layer.experts, expert_ranks, layout.ep * layout.etp, setting)
    vocabularies = _rings(vocabulary.shared, inner * copies, layout.tp / copies, setting)
    return Traffic(shared[0] + experts[0], shared[1] + experts[1], *vocabularies)


def _rings(count: Column, size: Column, stride: Column, setting: Setting) -> tuple[Column, Column]:
    """Gather and reduction of ``count`` parameters over ``size`` ranks ``stride`` apart, and their replicas."""
    layout, hardware = setting.layout, setting.hardware
    shards, present = ring(Group(size, stride), hardware), (size > 1) * (count > 0)
    replicas = Group(layout.dp_replicate, layout.tp * layout.dp_shard * layout.cp)
    gradient_bytes = np.minimum(setting.software.gradient_bytes, 4.0)
    whole = count * gradient_bytes
    among = 2 * gather_seconds(whole / size, replicas, hardware) * (layout.dp_replicate > 1) * (count > 0)
    scatter = shards.gather_seconds(whole) * present
    gather = shards.gather_seconds(count * setting.software.gather_bytes) * present
    sharded = layout.sharding > Sharding.NONE
    return np.where(sharded, gather, 0.0), np.where(sharded, scatter, 2.0 * scatter) + among


@dataclass(frozen=True)
class LayerPasses:
    """Seconds of one layer and micro-batch; backward without weight gradients where these are passes of their own."""

    forward: Column
    backward: Column
    weight_gradient: Column
    split: Mask
    """Where they are."""


def data_parallel(layer: LayerPasses, stage: Stages, setting: Setting) -> DataParallel:
    """Price the traffic of the first stage, which also holds a vocabulary matrix (all of them if it is alone)."""
    layout, share = setting.layout, setting.hardware.collective_share
    traffic, in_passes = parameter_traffic(setting), layout.sharding == Sharding.PARAMETERS
    once, once_hidden, in_chain = _once_a_step(layer, traffic, stage, setting)
    slower = once + share * once_hidden
    if not np.any(in_passes):
        zero = np.zeros(())
        return DataParallel(zero, zero, zero, zero, zero, slower, once, once_hidden, zero, zero, in_chain)
    shown, hidden = _in_every_pass(layer, traffic, stage, setting)
    piped = in_passes & (layout.pp > 1)
    gather, reduce = traffic.vocabulary_gather, traffic.vocabulary_reduce
    embedding = (gather + reduce) * in_passes
    head = 2.0 * gather + reduce
    covered = np.minimum(gather, layer.forward) + reduce * (
        traffic.layer_gather + traffic.layer_reduce < layer.backward
    )
    head = _where(setting.software.dp_overlap > 0, head - covered, head)
    return DataParallel(
        forward=shown[0] + share * hidden[0],
        backward=shown[1] + share * hidden[1],
        weight_gradient=shown[2] + share * hidden[2],
        embedding=embedding,
        head=head * piped,
        once=slower,
        once_shown=once,
        once_hidden=once_hidden,
        shown=shown[0] + shown[1] + shown[2],
        hidden=hidden[0] + hidden[1] + hidden[2],
        in_chain=in_chain,
    )


def _once_a_step(
    layer: LayerPasses, traffic: Traffic, stage: Stages, setting: Setting
) -> tuple[Column, Column, Column]:
    """(shown, hidden, in chain) of parameters gathered and gradients reduced once."""
    overlap, mine = setting.software.dp_overlap > 0, setting.layout.sharding != Sharding.PARAMETERS
    apart = layer.split
    last = _where(apart, layer.weight_gradient, layer.backward)
    gather, gather_v = traffic.layer_gather * mine, traffic.vocabulary_gather * mine
    reduce, reduce_v = traffic.layer_reduce * mine, traffic.vocabulary_reduce * mine
    gathers, reduces = _all(gather, gather_v, stage, setting), _all(reduce, reduce_v, stage, setting)
    early = _where(overlap, _once(gather, gather_v, layer.forward, stage, setting), gathers)
    late = _where(overlap, _once(reduce, reduce_v, last, stage, setting), reduces)
    in_chain = _in_chain(reduce * ~apart, reduce_v * ~apart, reduces - late, layer.backward, stage, setting)
    return early + late, (gathers + reduces) - (early + late), _where(overlap, in_chain, np.zeros(()))


def _in_every_pass(
    layer: LayerPasses, traffic: Traffic, stage: Stages, setting: Setting
) -> tuple[list[Column], list[Column]]:
    """(exposed, hidden) of FSDP's forward, backward and weight gradients, for one micro-batch."""
    mine, zero = setting.layout.sharding == Sharding.PARAMETERS, np.zeros(())
    apart = layer.split
    gather, reduce = traffic.layer_gather * mine, traffic.layer_reduce * mine
    second = _second_matrix(setting) * mine
    gather_v, reduce_v = traffic.vocabulary_gather * second, traffic.vocabulary_reduce * second
    shown, hidden = [], []
    for gathers, reduces, matrix, work in (
        (gather, zero, gather_v, layer.forward),
        (gather, reduce * ~apart, gather_v + reduce_v, layer.backward),
        (zero, reduce * apart, zero, layer.weight_gradient),
    ):
        talk = (gathers + reduces) * stage.layers + matrix
        shows = talk
        if np.any(talk):
            shows = _where(setting.software.dp_overlap > 0, _each(gathers, reduces, talk, work, stage, setting), talk)
        shown.append(shows)
        hidden.append(talk - shows)
    return shown, hidden


def _where(condition: np.ndarray, yes: Column, no: Column) -> Column:
    """``np.where`` that copies nothing where there is only one answer."""
    if condition.all():
        return yes
    return np.where(condition, yes, no) if condition.any() else no


def _all(per_layer: Column, per_matrix: Column, stage: Stages, setting: Setting) -> Column:
    return per_layer * stage.layers_first + per_matrix * (1.0 + _second_matrix(setting))


def _second_matrix(setting: Setting) -> Column:
    """1 where one stage holds both vocabulary matrices."""
    return (setting.layout.pp == 1) * setting.model.untied


def _once(per_layer: Column, per_matrix: Column, work: Column, stage: Stages, setting: Setting) -> Column:
    """What shows of buckets behind the first stage's last (or ahead of its first) pass, of ``work`` seconds a layer.

    The last bucket always shows. Before it, a chunk's buckets have the other layers of that chunk to hide behind; the
    first chunk's (the last one's) also pp passes through every other chunk.
    """
    layout, second = setting.layout, _second_matrix(setting)
    full, missing = stage.layers / layout.vp, stage.layers - stage.layers_first
    slowed = 1.0 / (1.0 - setting.hardware.collective_share)
    inside = (full - missing - 1.0) * slowed
    between = ((layout.vp - 1.0) * layout.pp * full + second) * slowed
    chunk = per_layer * (full - missing) + per_matrix - work * inside
    all_chunks = _all(per_layer, per_matrix, stage, setting) - work * (inside + between)
    if np.any(missing):  # then the next stage has more to send, from one pass earlier
        more = per_layer * (missing * (layout.pp > 2)) - per_matrix
        all_chunks = all_chunks + np.maximum(more - work * (full * slowed), 0.0)
    return np.maximum(per_layer + per_matrix, np.maximum(chunk, all_chunks))


def _in_chain(
    per_layer: Column, per_matrix: Column, hidden: Column, work: Column, stage: Stages, setting: Setting
) -> Column:
    """What the last micro-batch loses on all the other stages that it passes, where gradients are reduced beside it.

    Chunks of one layer reduce behind the pass that follows, for which others seldom wait: about twice, as played.
    """
    layout, share = setting.layout, setting.hardware.collective_share
    slowed = np.maximum((1.0 - layout.vp / stage.layers) * layout.pp, 2.0 * (1.0 - 1.0 / layout.vp))
    stages = share * slowed * (layout.pp > 1)
    talk = per_layer * (stage.layers * stages) + per_matrix * (share * (layout.pp > 1))
    slowed = np.minimum(talk, work * (stages * stage.layers / (1.0 - share)))
    return np.maximum(slowed - share * hidden, 0.0)


def _each(gather: Column, reduce: Column, talk: Column, work: Column, stage: Stages, setting: Setting) -> Column:
    """What shows in every pass of FSDP: of each chunk the first gather and the last reduction, or, where traffic takes
    longer than the layers' work, all of it but that work. Even then the dp stream waits for the first layer before it
    can reduce, and for the last."""
    layers, vp = stage.layers, setting.layout.vp
    work = work / (1.0 - setting.hardware.collective_share)
    waits = np.maximum(work - gather, 0.0) + np.maximum(work - reduce, 0.0)
    waits = np.where((gather > 0) & (reduce > 0), np.minimum(waits, work), work)
    return np.maximum(talk - work * layers + waits * vp, (gather + reduce) * vp)
