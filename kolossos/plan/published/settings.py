"""The settings of published runs: what a prediction of each asks for, with what its source left unsaid."""

from dataclasses import replace

import numpy as np

from kolossos.plan.choices import Recompute
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.published.measurements import Measurement, layout_columns, model_columns
from kolossos.plan.rates.hardware import HardwareColumns
from kolossos.plan.rates.software import Software, SoftwareColumns, SoftwareGeneration
from kolossos.plan.setting import Setting
from kolossos.specs.gpu import GpuSpec

MEMORY_DOUBT = 1.4


def setting_of(rows: list[Measurement], software: Software, gpus: dict[str, GpuSpec]) -> Setting:
    """Columns of everything that a prediction of ``rows`` asks for.

    Where a source does not say what it recomputed: everything before FlashAttention, and since then the least that
    fits in memory, with MEMORY_DOUBT for what this model of memory does not know (offload, fragmentation).
    """
    setting = _setting(rows, software, gpus)
    known = np.array([row.recompute_known for row in rows])
    chosen, fits = setting.layout.recompute, known
    room = setting.hardware.memory_bytes * MEMORY_DOUBT
    for recompute in Recompute:
        flash = setting.software.flash_attention > 0
        layout = replace(setting.layout, recompute=np.where(known, chosen, recompute))
        enough = (memory_bytes(replace(setting, layout=layout)).total < room) & (flash | (recompute == Recompute.FULL))
        chosen = np.where(fits, chosen, recompute)
        fits = fits | enough
    return replace(setting, layout=replace(setting.layout, recompute=chosen))


def _setting(rows: list[Measurement], software: Software, gpus: dict[str, GpuSpec]) -> Setting:
    hardware = [HardwareColumns.of(gpus[row.gpu], row.nvlink_domain, row.fabric) for row in rows]
    return Setting(
        model=model_columns(rows),
        hardware=HardwareColumns.stack(hardware),
        software=SoftwareColumns.stack([SoftwareColumns.of(_generation(row, software)) for row in rows]),
        layout=layout_columns(rows),
        sequence_parallel=np.array([float(row.sequence_parallel) for row in rows]),
    )


def _generation(row: Measurement, software: Software) -> SoftwareGeneration:
    """The generation of a row, with what the row itself says was switched on."""
    generation = software.generations[software.generation_of(row.framework, row.year)]
    switched: dict[str, object] = {"ep_overlap": True} if row.ep_overlap else {}
    if row.async_tp:
        switched["tp_overlap"] = True
    if row.fp32_gradients:
        switched["gradient_bytes"] = 6
    if row.whole_step_graph:
        switched["layer_overhead_s"] = 0.0
    return generation.model_copy(update=switched)
