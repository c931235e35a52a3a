"""Watts drawn, where the computer tells: RAPL counters of a processor, nvidia-smi of a card."""

import time
from pathlib import Path

import torch

from kolossos.calibrate.clock import Tick
from kolossos.calibrate.machine import Machine, query_card

RAPL = Path("/sys/class/powercap")


def can_read_power(machine: Machine) -> bool:
    """Whether `watts` will return a figure."""
    if machine.family == "cpu":
        return _joules() is not None
    return _card_watts() is not None


def watts(machine: Machine, seconds: float, tick: Tick, busy: bool) -> float | None:
    """Mean draw over ``seconds``, at rest or (``busy``) while large products run; None where it cannot be read."""
    operands = torch.randn(2, 2048, 2048, device=machine.device, dtype=torch.bfloat16) if busy else None
    before, start, readings = _joules(), time.perf_counter(), []
    while (passed := time.perf_counter() - start) < seconds:
        if operands is None:
            time.sleep(min(0.1, seconds))
        else:
            torch.mm(operands[0], operands[1])
        if machine.family != "cpu" and passed > seconds / 2:  # the second half: the card averages over a while
            readings.append(_card_watts())
        tick()
    if machine.family != "cpu":
        known = [reading for reading in readings if reading is not None]
        return sum(known) / len(known) if known else None
    after = _joules()
    if before is None or after is None or after <= before:  # a counter that wrapped
        return None
    return (after - before) / (time.perf_counter() - start)


def _joules() -> float | None:
    """Sum over the packages; None if there are no counters or they may not be read."""
    total, found = 0.0, False
    for zone in RAPL.glob("intel-rapl:[0-9]*"):
        if zone.name.count(":") != 1:  # a part of a package
            continue
        try:
            total += int((zone / "energy_uj").read_text()) * 1e-6
            found = True
        except (OSError, ValueError):
            return None
    return total if found else None


def _card_watts() -> float | None:
    try:
        return float(query_card("power.draw")["power.draw"])
    except (KeyError, ValueError):
        return None
