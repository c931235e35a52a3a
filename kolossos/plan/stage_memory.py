"""Memory of every pipeline stage: the closed form's parts, with each stage's layers and micro-batches alive."""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.columns import LayoutColumns
from kolossos.plan.job import Job
from kolossos.plan.memory import activation_bytes, memory_with
from kolossos.plan.parameters import stage_parameters
from kolossos.plan.pipeline import stages
from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class StageMemory:
    """Bytes on one GPU of stage ``stage`` (0 is the one with the embedding)."""

    stage: int
    layers: int
    states: float
    """Weights, gradients and optimizer."""
    activations: float
    """With logits, on the last stage."""
    other: float
    """Buffers and the runtime."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.states + self.activations + self.other


def stage_layers(n_layers: int, pp: int, vp: int) -> list[int]:
    """Layers of each stage: equal chunks, of which a few layers are missing at the ends (``pipeline.stages``)."""
    full = int(np.ceil(n_layers / (pp * vp) - 1e-9)) * vp
    missing = full * pp - n_layers
    layers = [full] * pp
    layers[-1] -= -(-missing // 2)
    layers[0] -= missing // 2
    return layers


def memory_by_stage(job: Job, layout: Layout) -> list[StageMemory]:
    """Every stage of ``layout``; none needs more than ``memory_bytes`` says of the fullest."""
    setting = job.setting(LayoutColumns.of(layout))
    activations = activation_bytes(setting)
    whole = memory_with(activations, setting)
    per_layer = float(activations.kept) * float(setting.software.activation_scale)
    whole_parameters = _parameters(
        setting, float(stages(setting).layers), 1.0 if layout.pp > 1 else _vocabularies(setting)
    )
    states = float(whole.weights + whole.gradients + whole.optimizer) / max(whole_parameters, 1.0)
    rows = []
    for stage, layers in enumerate(stage_layers(job.model.n_layers, layout.pp, layout.vp)):
        ends = float(stage == 0) + float(stage == layout.pp - 1)
        vocabularies = _vocabularies(setting) if layout.pp == 1 else min(ends, 1.0)
        kept = per_layer * layers * _alive(layout, stage)
        logits = float(activations.logits) if stage == layout.pp - 1 else 0.0
        rows.append(
            StageMemory(
                stage=stage,
                layers=layers,
                states=states * _parameters(setting, float(layers), vocabularies),
                activations=kept + logits,
                other=float(whole.buffers + whole.runtime),
            )
        )
    return rows


def _alive(layout: Layout, stage: int) -> float:
    """Micro-batches whose activations a stage holds at once (arXiv:2104.04473, section 2.2)."""
    pp, vp, n_micro = layout.pp, layout.vp, layout.accumulation_steps
    if vp == 1:
        return float(min(pp - stage, n_micro))
    chunks = min(2 * (pp - stage - 1) + (vp - 1) * pp + 1, n_micro * vp)
    return min(chunks / vp, pp + (pp - 1) / vp)


def _vocabularies(setting) -> float:
    return 1.0 + float(setting.model.untied)


def _parameters(setting, layers: float, vocabularies: float) -> float:
    held = stage_parameters(setting.model, setting.layout, np.float64(layers), np.float64(vocabularies))  # pyright: ignore
    return float(held.total)
