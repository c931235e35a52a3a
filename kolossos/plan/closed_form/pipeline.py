"""How long a pipeline takes in closed form: every row by its own schedule (``plan.schedules``)."""

from kolossos.plan.closed_form.collectives import send_seconds
from kolossos.plan.closed_form.work import BF16_BYTES, tokens
from kolossos.plan.columns import Column
from kolossos.plan.layers import Stages
from kolossos.plan.schedules import by_schedule
from kolossos.plan.schedules.schedule import StagePasses
from kolossos.plan.setting import Setting


def pipeline_seconds(passes: StagePasses, stage: Stages, setting: Setting) -> Column:
    """From the first forward to the last backward of ``micro_batches``, hops not counted."""
    return by_schedule(setting.layout, lambda one: one.pipeline_seconds, passes, stage, setting)


def hops_that_show(setting: Setting) -> Column:
    """How many hops a step waits for."""
    return by_schedule(setting.layout, lambda one: one.hops_that_show, setting)


def hop_seconds(setting: Setting) -> Column:
    """A micro-batch's activations (or their gradients) from stage to stage, each tp rank its part (arXiv:2104.04473,
    section 4.1)."""
    layout = setting.layout
    size = tokens(layout) * setting.model.dim * BF16_BYTES / layout.tp
    return send_seconds(size, layout.tp * layout.cp * layout.dp, setting.hardware)
