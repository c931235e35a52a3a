"""Where the seconds go from `kolossos train` to its first line and its first step, quiet and on busy cores.

    python benchmarks/first_step.py                 # beside what this machine does anyway
    python benchmarks/first_step.py --busy 2        # and two processes that take a core each
    python benchmarks/first_step.py --cold          # with an empty cache of compiled code

Starts examples/demo.toml on data/stdlib (`make demo` makes it; --data names another place), stops it after its first
step, and prints when each line of its output came, what is loaded, and how long compiling took. Aims: the first line
within 5 seconds, the first step within 20.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from peers.rounds import busy_core

ROOT = Path(__file__).resolve().parent.parent
FIRST_LINE_S, FIRST_STEP_S = 5.0, 20.0
IMPORTS_SHOWN = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=0, help="processes that take a core each")
    parser.add_argument("--cold", action="store_true", help="with an empty cache of compiled code")
    parser.add_argument("--data", default="data/stdlib")
    given = parser.parse_args()
    with ExitStack() as stack:
        for _ in range(given.busy):
            stack.enter_context(busy_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = dict(os.environ)
        if given.cold:
            environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")
        lines = lines_of_a_start(given.data, folder, environment)
        slowest = slowest_imports(environment)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {given.busy} made busy")
    for seconds, line in lines:
        print(f"{seconds:7.1f} s  {line}")
    judge("first line", lines[0][0], FIRST_LINE_S)
    judge("first step", next((s for s, line in lines if line.startswith("step 1/")), float("inf")), FIRST_STEP_S)
    print("loading, of all that is loaded before the first step (cumulative):")
    for seconds, name in slowest:
        print(f"{seconds:7.2f} s  {name}")


def lines_of_a_start(data: str, folder: Path, environment: dict[str, str]) -> list[tuple[float, str]]:
    """Seconds after the start of the process, and the line that came then, up to the first step."""
    start = time.perf_counter()
    process = subprocess.Popen(train(data, folder), stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append((time.perf_counter() - start, line.rstrip()))
        if line.startswith("step 1/"):
            break
    process.kill()
    process.wait()
    return lines


def slowest_imports(environment: dict[str, str]) -> list[tuple[float, str]]:
    """The modules that take longest to load, with what they load, the longest first."""
    code = "import kolossos.cli.train, kolossos.cli.show.training, kolossos.train.run, kolossos.train.start"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    found = []
    for line in done.stderr.splitlines():
        _, _, columns = line.partition("import time:")
        own, _, rest = columns.partition("|")
        cumulative, _, name = rest.partition("|")
        if own.strip().isdigit():
            found.append((int(cumulative) / 1e6, name.strip()))
    return sorted(found, reverse=True)[:IMPORTS_SHOWN]


def train(data: str, folder: Path) -> list[str]:
    """The command."""
    run = str(folder / "run")
    return [
        sys.executable, "-m", "kolossos", "train", "examples/demo.toml", "--run", run, "--set", f"data.path={data}"
    ]  # fmt: skip


def judge(what: str, seconds: float, aim: float) -> None:
    print(f"{'reached' if seconds <= aim else 'missed'}: {what} after {seconds:.1f} s (aim {aim:.0f})")


if __name__ == "__main__":
    main()
