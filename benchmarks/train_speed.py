"""Training speed against peers: the same tiny shapes, the same tokens, one run.

    python benchmarks/train_speed.py                                   # all rows, 1 and 2 threads, 3 rounds
    python benchmarks/train_speed.py --quick --models moe --threads 2  # one short round
    python benchmarks/train_speed.py --busy --contestants kolossos,plain --threads 2

A contestant is a fresh process (peers/worker.py); rounds go over all rows in turn. The peers live in a virtual
environment that shares the torch of Kolossos' own:

    python -m venv .bench-venv
    SITE="import sysconfig; print(sysconfig.get_path('purelib'))"
    python -c "$SITE" > "$(.bench-venv/bin/python -c "$SITE")/kolossos.pth"
    .bench-venv/bin/pip install -r benchmarks/requirements.txt

(with Kolossos' environment active). torchtitan 0.3.0 is no row: as released it does not train on a CPU.
"""

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from machine import describe, matmul_peak
from peers.aims import verdicts
from peers.page import markdown, print_tables
from peers.rounds import Heat, run_rounds
from peers.rows import CONTESTANTS, MODELS, PRECISIONS, rows_of
from peers.standings import standings_of
from rich.console import Console

RESULTS = Path(__file__).parent / "results"
INSTALL = "see the head of benchmarks/train_speed.py; .bench-venv/bin/pip install -r benchmarks/requirements.txt"


def main(
    *,
    models: Annotated[str, typer.Option(help="dense, moe or both")] = ",".join(MODELS),
    contestants: Annotated[str, typer.Option(help="comma-separated")] = ",".join(CONTESTANTS),
    precisions: Annotated[str, typer.Option(help="comma-separated")] = ",".join(PRECISIONS),
    threads: Annotated[str, typer.Option(help="numbers of threads, comma-separated")] = "1,2",
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    steps: Annotated[int, typer.Option(min=1, help="timed steps in a round")] = 8,
    quick: Annotated[bool, typer.Option("--quick", help="one round of four steps")] = False,
    busy: Annotated[bool, typer.Option("--busy", help="run each row beside a process that takes core 0, too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the records alone, as JSON")] = False,
) -> None:
    """Measure tokens/s and peak memory of Kolossos and its peers."""
    if quick:
        rounds, steps = 1, 4
    heats = [
        Heat(row, n_threads, is_busy)
        for n_threads in map(int, threads.split(","))
        for model in choices(models, MODELS, "--models")
        for contestant in choices(contestants, CONTESTANTS, "--contestants")
        for row in rows_of(contestant, model)
        if row.precision in choices(precisions, PRECISIONS, "--precisions")
        for is_busy in ((False, True) if busy else (False,))
    ]
    progress = Console(stderr=True)
    machine = {**describe(), "matmul": list(filter(None, map(matmul_peak, sorted({heat.threads for heat in heats}))))}
    records = []
    try:
        for record in run_rounds(heats, rounds, steps, report=lambda line: progress.print(line, highlight=False)):
            records.append(record)
    except KeyboardInterrupt:
        progress.print("stopped; this is what was measured:")
    if as_json:
        print(json.dumps({"machine": machine, "records": records}, indent=1))
    else:
        show(records)
    save(records, machine, command=shlex.join(["python", "benchmarks/train_speed.py", *sys.argv[1:]]))


def choices(given: str, known: tuple[str, ...], option: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r}; known: {', '.join(known)}", param_hint=option)
    return names


def show(records: list[dict]) -> None:
    groups = standings_of(records)
    console = Console() if sys.stdout.isatty() else Console(width=140)
    print_tables(groups, console)
    for verdict in verdicts(groups):
        console.print(verdict, highlight=False)
    if any("not installed" in record.get("skipped", "") for record in records):
        console.print(f"To install the peers: {INSTALL}", highlight=False)


def save(records: list[dict], machine: dict, command: str) -> None:
    now = datetime.now(UTC)
    groups = standings_of(records)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"train_speed-{now:%Y-%m-%d-%H%M}"
    contents = {"command": command, "date": now.isoformat(), "machine": machine, "records": records}
    file.with_suffix(".json").write_text(json.dumps(contents, indent=1) + "\n")
    file.with_suffix(".md").write_text(markdown(groups, verdicts(groups), machine, command))


if __name__ == "__main__":
    typer.run(main)
