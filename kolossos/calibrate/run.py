"""The whole calibration: one stage after another, each with its share of the time."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from kolossos.calibrate.attention import Attention, measure_attention
from kolossos.calibrate.clock import Clock
from kolossos.calibrate.collectives import Collectives, measure_collectives
from kolossos.calibrate.machine import Machine, this_machine
from kolossos.calibrate.memory import Memory, measure_memory
from kolossos.calibrate.power import can_read_power, watts
from kolossos.calibrate.products import DTYPES, Products, measure_products, precisions_of
from kolossos.train.waiting import cores_of_others

SHARES = {"matrix products": 0.5, "memory": 0.1, "attention": 0.2, "collectives": 0.14, "power": 0.06}
CPU_RANKS = 2
Progress = Callable[[str, float], None]
"""Called often with the name of the stage and the share of the whole time that has passed."""


@dataclass
class Calibration:
    """Everything measured, with ``notes`` on what could not be."""

    machine: Machine
    threads: int
    busy_cores: float
    seconds: float
    products: dict[str, Products]
    memory: Memory
    attention: dict[str, Attention]
    collectives: list[Collectives]
    idle_watts: float | None
    load_watts: float | None
    notes: list[str] = field(default_factory=list)

    @property
    def spread(self) -> float:
        """Median over all timings of (median of the rounds / best - 1): how disturbed the measurement was."""
        spreads = [*self.memory.spreads]
        for part in (*self.products.values(), *self.attention.values()):
            spreads += part.spreads
        spreads += [row[3] for group in self.collectives for row in group.rows]
        return statistics.median(spreads)


def calibrate(seconds: float, progress: Progress) -> Calibration:
    """Measure for about ``seconds`` (and a few more to start processes)."""
    start = time.perf_counter()
    torch.manual_seed(0)
    machine = this_machine()
    clock, notes = Clock(machine.device), []

    def tick(stage: str) -> Callable[[], None]:
        return lambda: progress(stage, min(1.0, (time.perf_counter() - start) / seconds))

    busy = [cores_of_others()]
    idle, load = _power(machine, SHARES["power"] * seconds, tick("power"), notes)
    precisions = precisions_of(machine.device)
    each = SHARES["matrix products"] * seconds / len(precisions)
    products = {p: measure_products(clock, p, each, tick(f"matrix products, {p}")) for p in precisions}
    free = 0.5 * machine.memory_bytes
    memory = measure_memory(clock, machine.cache_bytes, free, SHARES["memory"] * seconds, tick("memory"))
    if memory.largest_bytes < machine.cache_bytes:
        notes.append(
            f"memory_bandwidth is that of cache and memory together: the largest tensor timed has "
            f"{memory.largest_bytes / 1e6:,.0f} MB, the cache as the system tells {machine.cache_bytes / 1e6:,.0f} MB"
        )
    busy.append(cores_of_others())
    each = SHARES["attention"] * seconds / len(DTYPES)
    attention = {
        p: measure_attention(clock, p, products[p].peak_flops_per_s, each, tick(f"attention, {p}")) for p in DTYPES
    }
    groups = _collectives(machine, SHARES["collectives"] * seconds, tick("collectives"), notes)
    busy.append(cores_of_others())
    progress("done", 1.0)
    return Calibration(
        machine=machine,
        threads=torch.get_num_threads(),
        busy_cores=statistics.mean(cores or 0.0 for cores in busy),
        seconds=time.perf_counter() - start,
        products=products,
        memory=memory,
        attention=attention,
        collectives=groups,
        idle_watts=idle,
        load_watts=load,
        notes=notes,
    )


def _power(
    machine: Machine, seconds: float, tick: Callable[[], None], notes: list[str]
) -> tuple[float | None, float | None]:
    if not can_read_power(machine):
        where = "RAPL counters" if machine.family == "cpu" else "nvidia-smi"
        notes.append(f"power is absent: {where} cannot be read here; write tdp_watts and idle_watts if you know them")
        return None, None
    return watts(machine, seconds / 2, tick, busy=False), watts(machine, seconds / 2, tick, busy=True)


def _collectives(machine: Machine, seconds: float, tick: Callable[[], None], notes: list[str]) -> list[Collectives]:
    """Groups of 2, 4, 8, ... GPUs, or of two processes on a CPU."""
    if machine.family == "cpu":
        sizes, backend = [CPU_RANKS], "gloo"
    else:
        sizes, backend = [2**i for i in range(1, 8) if 2**i <= machine.n_devices], "nccl"
        if not sizes:
            notes.append("collectives are absent: one GPU has none to talk to")
    groups = []
    for ranks in sizes:
        try:
            groups.append(measure_collectives(ranks, backend, torch.get_num_threads(), seconds / len(sizes), tick))
        except (RuntimeError, OSError) as error:
            notes.append(f"collectives of {ranks} ranks are absent ({backend}): {error}")
    return groups
