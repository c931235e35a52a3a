"""Coefficients of a card and of a software, moved by factors."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.calibrated.coefficients import RATES, WIDTHS
from kolossos.plan.rates.hardware import HardwareColumns
from kolossos.plan.rates.software import SoftwareColumns

Shifts = Mapping[tuple[str, str], float] | Mapping[tuple[str, str], NDArray[np.float64]]
"""Logarithms of factors by ("card" or "software", coefficient), one or a column; what is not named stays."""
NAMES = tuple(WIDTHS)


def shifted(
    hardware: HardwareColumns, software: SoftwareColumns, shifts: Shifts
) -> tuple[HardwareColumns, SoftwareColumns]:
    """Both with each coefficient times its factor."""
    if not shifts:
        return hardware, software
    card = {RATES.get(name, name): log for (kind, name), log in shifts.items() if kind == "card"}
    small = {name: log for (kind, name), log in shifts.items() if kind == "software"}
    return (
        replace(hardware, **{name: getattr(hardware, name) * np.exp(log) for name, log in card.items()}),
        replace(software, **{name: getattr(software, name) * np.exp(log) for name, log in small.items()}),
    )
