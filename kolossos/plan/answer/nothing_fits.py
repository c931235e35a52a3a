"""What to say when no layout of a model fits: by how much the leanest misses, and what would make it fit."""

import math

from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.job import Job
from kolossos.plan.rules.check import describe
from kolossos.plan.search.prices import Choice
from kolossos.specs.catalogue import load_gpu, names

GIB = 2.0**30


def nothing_fits(job: Job, leanest: Choice | None) -> str:
    """One line for a person."""
    where = f"{job.model.name} on {job.n_gpus:,} {job.gpu.name}"
    if leanest is None:
        return (
            f"{where}: no layout keeps the rules with seq_len = {job.seq_len:,} and a global batch of about "
            f"{job.batch:,.0f} sequences; try another number of GPUs or another batch"
        )
    missing = leanest.memory_bytes - job.usable_bytes
    return (
        f"{where}: nothing fits; the leanest layout ({describe(leanest.layout)}, recompute={leanest.layout.recompute}) "
        f"needs {leanest.memory_bytes / GIB:,.1f} GiB a GPU and may take {job.usable_bytes / GIB:,.1f}: "
        f"{missing / GIB:,.1f} GiB too much. It would fit {_remedies(job, leanest)}"
    )


def _remedies(job: Job, leanest: Choice) -> str:
    """More GPUs to spread the states over, a larger card, or a shorter sequence."""
    said: list[str] = []
    setting = job.setting_of([leanest.layout])
    memory = memory_bytes(setting)
    fixed = float(memory.runtime[0])
    room = job.usable_bytes - fixed
    if room > 0:
        wanted = job.n_gpus * (leanest.memory_bytes - fixed) / room
        said.append(f"on about {_rounded(wanted):,} GPUs of this kind")
    enough = leanest.memory_bytes / (1 - job.memory_margin)
    larger = [gpu for name in names("gpus") if (gpu := load_gpu(name)).memory_bytes >= enough]
    if larger:
        smallest = min(larger, key=lambda gpu: gpu.memory_bytes)
        said.append(f"on {smallest.name} ({smallest.memory_bytes / GIB:,.0f} GiB)")
    activations = float(memory.activations[0] + memory.logits[0] + memory.buffers[0])
    over = leanest.memory_bytes - job.usable_bytes
    if activations > over:
        length = 2 ** math.floor(math.log2(max(job.seq_len * (1 - over / activations), 1)))
        said.append(f"with seq_len = {length}")
    return " or ".join(said) if said else "on a larger card"


def _rounded(gpus: float) -> int:
    """Up to whole nodes of eight, or tens or hundreds of them where there are many."""
    step = 8 * 10 ** max(int(math.log10(gpus)) - 2, 0)
    return math.ceil(gpus / step) * step
