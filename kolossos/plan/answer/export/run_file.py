"""A Kolossos run file with the layout of a plan."""

import math
import re

from kolossos.plan.answer.one_kind import Answer
from kolossos.specs.promise import PromiseSpec
from kolossos.specs.run import DataSpec, RunSpec, ScheduleSpec

DATA_PATH = "data/prepared"
WARMUP_SHARE = 0.01


def run_file(answer: Answer) -> str:
    """TOML that ``kolossos.specs.run.load_run`` reads; the path of the data and the learning rate are to be chosen."""
    steps = n_steps(answer)
    name = re.sub(r"[^A-Za-z0-9._-]", "-", f"{answer.job.model.name}-{answer.cluster.name}")
    run = RunSpec(
        name=name,
        model=answer.job.model,
        data=DataSpec(path=DATA_PATH),
        layout=answer.priced.layout,
        schedule=ScheduleSpec(steps=steps, warmup_steps=int(steps * WARMUP_SHARE)),
        promise=promise_of(answer),
    )
    heading = (
        f"# Written by `kolossos plan`: {answer.priced.layout.world_size:,} {answer.job.gpu.name}, {answer.tokens:g} "
    )
    return f"{heading}tokens.\n# data.path and the optimizer are not planned: choose them.\n{run.to_toml()}"


def promise_of(answer: Answer) -> PromiseSpec:
    """What the plan says of a step, for the run to be held against."""
    priced, (low, high) = answer.priced, answer.intervals["step_time_s"]
    return PromiseSpec(
        cluster=answer.cluster.name,
        gpu=answer.job.gpu.name,
        n_gpus=priced.layout.world_size,
        layout=priced.layout,
        software=answer.job.software,
        step_time_s=priced.step_time_s,
        step_time_low_s=low,
        step_time_high_s=high,
        parts_s={name: max(seconds, 0.0) for name, seconds in priced.parts.items()},  # some are -1e-17 by rounding
        memory_bytes=priced.memory_parts,
        tokens_per_step=priced.tokens_per_step,
        mfu=priced.mfu,
    )


def n_steps(answer: Answer) -> int:
    """Steps that the tokens take."""
    return max(math.ceil(answer.tokens / answer.priced.tokens_per_step), 1)
