"""Runs the rows in processes of their own, round after round, so that the machine's moods hit all of them alike."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from .contest import WARMUP_STEPS
from .disturbance import Disturbance
from .rows import Row

BENCHMARKS = Path(__file__).parents[1]
PEERS_PYTHON = BENCHMARKS.parent / ".bench-venv" / "bin" / "python"

# A process that takes all of core 0 and ends with its parent, however that ends.
SPIN = """
import os
os.sched_setaffinity(0, {0})
parent = os.getppid()
while os.getppid() == parent:
    pass
"""


@dataclass(frozen=True)
class Heat:
    """One row at one number of threads, on a quiet machine or beside a busy process."""

    row: Row
    threads: int
    busy: bool = False


def run_rounds(heats: list[Heat], n_rounds: int, n_steps: int, report: Callable[[str], None]) -> Iterator[dict]:
    """One record for each heat and round: the heat's fields, and what the worker measured, or why it did not.

    other_cores: how many cores other processes kept busy during the heat, the spinner of a busy one among them.
    """
    broken: set[Heat] = set()
    for n in range(1, n_rounds + 1):
        for heat in heats:
            if heat in broken:
                continue
            disturbance = Disturbance()
            with busy_core() if heat.busy else nullcontext():
                result = run_heat(heat, n_steps)
                result["other_cores"] = disturbance.cores()
            if "skipped" in result:
                broken.add(heat)
            report(f"round {n}/{n_rounds}  {progress_of(heat)}  {outcome_of(result)}")
            yield {**asdict(heat.row), "threads": heat.threads, "busy": heat.busy, "round": n, **result}


def run_heat(heat: Heat, n_steps: int) -> dict:
    """The worker's JSON; peers run in the environment that their users get, apart from the number of threads."""
    python = sys.executable if heat.row.contestant in ("kolossos", "plain") else str(PEERS_PYTHON)
    if not Path(python).exists():
        return {"skipped": f"{PEERS_PYTHON.parents[1].name} is not installed"}
    options = ["--threads", str(heat.threads), "--warmup", str(WARMUP_STEPS), "--steps", str(n_steps)]
    given = filter(None, [os.environ.get("PYTHONPATH")])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(heat.threads),
        "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent), *given]),
    }
    command = [python, "-m", "peers.worker", *heat.row.arguments(), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        complaint = [line for line in done.stderr.splitlines() if "Error" in line] or [f"exit code {done.returncode}"]
        return {"skipped": complaint[-1].strip()}
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def busy_core() -> Iterator[None]:
    spinner = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def progress_of(heat: Heat) -> str:
    place = f"{heat.threads} thread{'s' if heat.threads > 1 else ''}{', busy' if heat.busy else ''}"
    return f"{heat.row.model} {heat.row.contestant} {heat.row.settings} ({place})"


def outcome_of(result: dict) -> str:
    if "skipped" in result:
        return f"skipped: {result['skipped']}"
    return f"{result['tokens_per_s']:,.0f} tokens/s, {result['peak_rss_mib']:,.0f} MiB"
