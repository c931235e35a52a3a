"""What a layer takes, for each group, micro-batch, recompute and precision of a space: priced once, then gathered."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.closed_form.blocks import blocks
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.memory import ActivationBytes, activation_bytes
from kolossos.plan.closed_form.step import LayerTotals, layer_seconds, layer_totals
from kolossos.plan.columns import Column, LayoutColumns
from kolossos.plan.job import Job
from kolossos.plan.search.space import MICRO_BATCHES, NEUTRAL, Axes


@dataclass(frozen=True)
class LayerTable:
    """Columns of shape (recompute, precision, group, micro-batch); 1 where an axis makes no difference."""

    totals: LayerTotals
    computing: Column
    """Seconds of a layer's forward and backward in which the GPU computes; head_computing: the same of the head."""
    head_computing: Column
    activations: ActivationBytes

    def take(self, group: int, micro_batch: NDArray[np.intp]) -> "LayerTable":
        """The rows of one chunk: (recompute, precision, row)."""

        def pick(column: Column) -> Column:
            return column[:, :, group, :].take(micro_batch, axis=2)

        return LayerTable(
            totals=_each(self.totals, pick),
            computing=pick(self.computing),
            head_computing=pick(self.head_computing),
            activations=_each(self.activations, pick),
        )


def layer_table(job: Job, space: Axes) -> LayerTable:
    """Price every distinct layer of the space: kernels once for each precision, sums for each recompute."""
    keys = _keys(job, space)
    flat = LayoutColumns(**{f.name: np.ravel(getattr(keys, f.name)) for f in fields(keys)})
    setting = job.setting(flat)
    kernels = layer_kernels(setting.model, setting.hardware, flat)
    shape = keys.tp.shape
    by_key = kernels.each(lambda column: column.reshape(shape))
    keys = LayoutColumns(**{**keys.__dict__, "recompute": space.recompute[..., None]})
    setting = job.setting(keys)
    layer = layer_seconds(blocks(by_key, setting), setting)

    def full(column: Column) -> Column:
        return np.ascontiguousarray(np.broadcast_to(column, np.broadcast_shapes(column.shape, (1, *shape[1:]))))

    return LayerTable(
        totals=_each(layer_totals(layer), full),
        computing=full((layer.forward + layer.backward).computing),
        head_computing=full((layer.head_forward + layer.head_backward).computing),
        activations=_each(activation_bytes(setting), lambda column: full(column)[:, :1]),
    )


def _keys(job: Job, space: Axes) -> LayoutColumns:
    """Layouts of shape (1, precision, group, micro-batch)."""
    shape = (1, space.precision.size, len(space.groups), len(MICRO_BATCHES))

    def along(values: object, axis: int) -> Column:
        return np.broadcast_to(np.asarray(values, float).reshape([-1 if a == axis else 1 for a in range(4)]), shape)

    chosen = {name: along([getattr(g, name) for g in space.groups], 2) for name in ("tp", "cp", "ep", "etp")}
    chosen |= {"precision": along(space.precision, 1), "micro_batch_size": along(MICRO_BATCHES, 3)}
    chosen |= {"seq_len": np.full(shape, float(job.seq_len)), "recompute": np.zeros(shape)}
    return LayoutColumns(**{**NEUTRAL.__dict__, **chosen})


def _each(columns, function):
    return type(columns)(**{f.name: function(getattr(columns, f.name)) for f in fields(columns)})
