"""From measurements (or any rows of model, card, fabric, software and layout) to predicted steps."""

import numpy as np

from kolossos.plan.blocks import Setting
from kolossos.plan.coefficients import Coefficients
from kolossos.plan.hardware import HardwareColumns
from kolossos.plan.measurements import Measurement, layout_columns, model_columns
from kolossos.plan.software import SoftwareColumns
from kolossos.specs.gpu import GpuSpec


def setting_of(rows: list[Measurement], coefficients: Coefficients, gpus: dict[str, GpuSpec]) -> Setting:
    """Columns of everything that a prediction of ``rows`` asks for."""
    hardware = [
        HardwareColumns.of(
            gpus[row.gpu],
            coefficients.gpu(row.gpu, gpus[row.gpu].family),
            coefficients.links,
            row.nvlink_domain,
            row.fabric,
        )
        for row in rows
    ]
    software = [SoftwareColumns.of(coefficients.software[coefficients.generation(row.framework)]) for row in rows]
    return Setting(
        model=model_columns(rows),
        hardware=HardwareColumns.stack(hardware),
        software=SoftwareColumns.stack(software),
        layout=layout_columns(rows),
        sequence_parallel=np.array([float(row.sequence_parallel) for row in rows]),
    )
