"""Serving speed side by side: Kolossos' engine, transformers, llama.cpp and vLLM on one core, in one run.

    python benchmarks/serve/speed.py --peers FOLDER                                # everything, three rounds
    python benchmarks/serve/speed.py --peers FOLDER --models moe300 --rounds 1 --contestants kolossos-fp32,vllm

Library calls, no HTTP. Every contestant is a fresh process on one core with one thread, round after round, the order
turned on by one each time; speeds are tokens per CPU-second. `install_peers.sh FOLDER` brings the peers; the models are
made in FOLDER/models when they are missing. Results go to benchmarks/results/serve-DATE.json and .md.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aims import verdicts
from bounds import best_of, measured
from contest import CONTESTANTS, SHAPES
from page import markdown, print_tables
from rich.console import Console
from standings import standings_of

BENCHMARKS = Path(__file__).parents[1]
sys.path.insert(0, str(BENCHMARKS))
from machine import describe  # noqa: E402  # pyright: ignore[reportMissingImports]
from peers.disturbance import Disturbance  # noqa: E402  # pyright: ignore[reportMissingImports]

RESULTS = BENCHMARKS / "results"
LONGEST_S = 1800


def main(
    *,
    peers: Annotated[Path, typer.Option(envvar="KOLOSSOS_PEERS", help="where install_peers.sh put them")],
    models: Annotated[str, typer.Option(help="comma-separated")] = ",".join(SHAPES),
    contestants: Annotated[str, typer.Option(help="comma-separated")] = ",".join(CONTESTANTS),
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    new: Annotated[int, typer.Option(min=16, help="tokens to write after each prompt")] = 48,
    core: Annotated[int, typer.Option(min=0, help="the core that all run on")] = (os.cpu_count() or 1) - 1,
    name: Annotated[str, typer.Option(help="of the results' files, before the date")] = "serve",
) -> None:
    """Measure decode speed, time to the first token and memory of Kolossos' engine and its peers."""
    chosen = choices(contestants, CONTESTANTS, "--contestants")
    heats = [(model, contestant) for model in choices(models, SHAPES, "--models") for contestant in chosen]
    progress = Console(stderr=True, soft_wrap=True)
    make_models(peers, heats)
    records, speeds = [], []
    try:
        for n in range(rounds):
            speeds.append(measured(core))
            for record in one_round(heats[n:] + heats[:n], peers, new, core):
                records.append({"round": n + 1, **record})
                progress.print(f"round {n + 1}/{rounds}  {outcome_of(record)}", highlight=False)
    except KeyboardInterrupt:
        progress.print("stopped; this is what was measured:")
    machine = {**describe(), **best_of(speeds)}
    show_and_save(records, machine, name, command=said(peers))


def said(peers: Path) -> str:
    """The command line without where the peers lie on this machine."""
    words = ["FOLDER" if word == str(peers) else word for word in sys.argv[1:]]
    return shlex.join(["python", "benchmarks/serve/speed.py", *words])


def choices(given: str, known: dict, option: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r}; known: {', '.join(known)}", param_hint=option)
    return names


def make_models(peers: Path, heats: list[tuple[str, str]]) -> None:
    """In processes of their own: a parent that has loaded torch would be slow to start others."""
    models, here = list(dict.fromkeys(model for model, _ in heats)), Path(__file__).parent
    folder = peers / "models"
    environment = environment_of()
    make = [sys.executable, str(here / "models.py"), str(folder), "--models", ",".join(models)]
    subprocess.run(make, env=environment, check=True)
    llama = peers / "llama" / "bin" / "python"
    if llama.exists() and any(CONTESTANTS[contestant].venv == "llama" for _, contestant in heats):
        # where it cannot, the worker says what is missing
        subprocess.run([str(llama), str(here / "gguf_files.py"), str(folder), *models], stdout=sys.stderr, check=False)


def one_round(heats: list[tuple[str, str]], peers: Path, new: int, core: int) -> Iterator[dict]:
    for model, contestant in heats:
        disturbance = Disturbance()
        record = run(model, contestant, peers, ["--new", str(new), "--core", str(core)])
        yield {"model": model, "contestant": contestant, **record, "other_cores": disturbance.cores() or 0.0}


def run(model: str, contestant: str, peers: Path, options: list[str]) -> dict:
    """The worker's JSON, or why there is none."""
    venv = CONTESTANTS[contestant].venv
    python = Path(sys.executable) if venv is None else peers / venv / "bin" / "python"
    if not python.exists():
        return {"skipped": f"{python.parents[1]} is not there; see install_peers.sh"}
    worker = [str(python), str(Path(__file__).with_name("worker.py"))]
    chosen = ["--model", model, "--contestant", contestant, "--folder", str(peers / "models")]
    try:
        done = subprocess.run(
            [*worker, *chosen, *options], env=environment_of(), capture_output=True, text=True, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"not done after {LONGEST_S} s"}
    if done.returncode:
        complaint = [line for line in done.stderr.splitlines() if "Error" in line] or [f"exit code {done.returncode}"]
        return {"skipped": complaint[-1].strip()}
    return json.loads(done.stdout.splitlines()[-1])


def environment_of() -> dict[str, str]:
    given = filter(None, [os.environ.get("PYTHONPATH")])
    path = os.pathsep.join([str(BENCHMARKS.parent), *given])
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": path}


def outcome_of(record: dict) -> str:
    place = f"{record['model']} {record['contestant']}"
    if "skipped" in record:
        return f"{place}: skipped: {record['skipped']}"
    rates = ", ".join(f"{rate:,.1f}" for rate in record["tokens_per_cpu_s"].values())
    return f"{place}: {rates} tokens/CPU s, first after {record['first_token_cpu_s']:.3f}"


def show_and_save(records: list[dict], machine: dict, name: str, command: str) -> None:
    found = standings_of(records)
    judged = [verdict for standings in found.values() for verdict in verdicts(standings)]
    console = Console() if sys.stdout.isatty() else Console(width=220)
    print_tables(found, machine, console)
    for verdict in judged:
        console.print(verdict, highlight=False)
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}-{now:%Y-%m-%d-%H%M}"
    contents = {"command": command, "date": now.isoformat(), "machine": machine, "records": records}
    file.with_suffix(".json").write_text(json.dumps(contents, indent=1) + "\n")
    file.with_suffix(".md").write_text(markdown(found, judged, machine, command))
    console.print(f"{file}.json, .md", highlight=False)


if __name__ == "__main__":
    typer.run(main)
