"""Memory of every pipeline stage: the closed form's parts, with each stage's layers and micro-batches alive."""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.closed_form.memory import activation_bytes, memory_with
from kolossos.plan.closed_form.parameters import stage_parameters, vocabulary_copies
from kolossos.plan.columns import scalar
from kolossos.plan.layers import stage_layers
from kolossos.plan.schedules import schedule_of_code
from kolossos.plan.setting import Setting


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


def memory_by_stage(setting: Setting) -> list[StageMemory]:
    """Every stage of one layout (scalars, or columns of one row); none needs more than ``memory_bytes`` says of the
    fullest."""
    layout = setting.layout
    pp, vp, n_layers, n_micro = (
        int(scalar(value)) for value in (layout.pp, layout.vp, setting.model.n_layers, layout.micro_batches)
    )
    schedule = schedule_of_code(scalar(layout.schedule))
    activations = activation_bytes(setting)
    whole = memory_with(activations, setting)
    per_layer = scalar(activations.kept) * scalar(setting.software.activation_scale)
    whole_parameters = _parameters(setting, scalar(setting.stages.layers), 1.0 if pp > 1 else _vocabularies(setting))
    states = scalar(whole.weights + whole.gradients + whole.optimizer) / max(whole_parameters, 1.0)
    rows = []
    for stage, layers in enumerate(stage_layers(n_layers, pp, vp)):
        ends = float(stage == 0) + float(stage == pp - 1)
        vocabularies = _vocabularies(setting) if pp == 1 else min(ends, 1.0)
        kept = per_layer * layers * schedule.alive_on(stage, pp, vp, n_micro)
        logits = scalar(activations.logits) if stage == pp - 1 else 0.0
        rows.append(
            StageMemory(
                stage=stage,
                layers=layers,
                states=states * _parameters(setting, float(layers), vocabularies),
                activations=kept + logits,
                other=scalar(whole.buffers + whole.runtime),
            )
        )
    return rows


def _vocabularies(setting: Setting) -> float:
    return 1.0 + scalar(setting.model.untied)


def _parameters(setting: Setting, layers: float, vocabularies: float) -> float:
    used = np.float64(vocabularies) * vocabulary_copies(setting)
    held = stage_parameters(setting.model, setting.layout, np.float64(layers), used)  # pyright: ignore
    return scalar(held.total)
