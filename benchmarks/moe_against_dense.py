"""Does a mixture of experts learn more than a dense model of equal active size, and are all experts in use?

    python benchmarks/moe_against_dense.py [--set key=value ...]

Trains `tiny-moe` and `tiny-dense` (equal active parameters a token) on the same batches with the same recipe (moe.toml
beside this file; `kolossos data prepare --out data/stdlib` makes the data), and writes docs/moe_against_dense.png and
benchmarks/results/moe_against_dense.json. Some ten minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kolossos.runs.events import read_events

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("tiny-moe", "tiny-dense")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], help="key=value for both runs")
    runs = {model: train(model, parser.parse_args().set) for model in MODELS}
    (ROOT / "benchmarks/results/moe_against_dense.json").write_text(json.dumps(summary(runs), indent=1) + "\n")
    draw(runs, ROOT / "docs/moe_against_dense.png")
    print(json.dumps(summary(runs)))


def train(model: str, overrides: list[str]) -> list[dict[str, Any]]:
    """The events of a run of ``model``; a run that is finished already is read again."""
    folder = ROOT / "runs" / f"compare-{model}"
    sets = [part for value in [f"model.spec={model}", *overrides] for part in ("--set", value)]
    command = [sys.executable, "-m", "kolossos", "train", "benchmarks/moe.toml", "--run", str(folder), *sets, "--json"]
    if not json.loads(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)["finished"]:
        sys.exit(f"{folder} was interrupted; the same command goes on")
    return read_events(folder / "metrics.jsonl")


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Final losses, and the experts' evenness over the second half of the run."""
    result: dict[str, Any] = {}
    for model, events in runs.items():
        steps = [e for e in events if e["kind"] == "train"]
        final = [e for e in events if e["kind"] == "validation"][-1]
        result[model] = {
            "tokens": int(steps[-1]["tokens"]),
            "validation_loss": final["validation_loss"],
            "bits_per_byte": final["bits_per_byte"],
        }
        entropies = [e["load_entropy"] for e in steps[len(steps) // 2 :] if "load_entropy" in e]
        if entropies:
            result[model]["lowest_load_entropy_in_second_half"] = min(entropies)
    return result


def draw(runs: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """Validation loss of both, and below it the entropy of the experts' load."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    loss, load = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for model, events in runs.items():
        tokens = {e["step"]: e["tokens"] / 1e6 for e in events if e["kind"] == "train"}
        points = [(tokens[e["step"]], e["validation_loss"]) for e in events if e["kind"] == "validation"]
        loss.plot(*zip(*points, strict=True), "o-", markersize=4, label=model)
        entropies = [(e["tokens"] / 1e6, e["load_entropy"]) for e in events if "load_entropy" in e]
        if entropies:
            load.plot(*zip(*entropies, strict=True), color="C2")
    loss.set_ylabel("validation loss (nats/token)")
    loss.set_title("Equal active parameters, equal tokens: mixture of experts and dense")
    loss.legend()
    load.set_ylim(0, 1.05)
    load.set_ylabel("entropy of the\nexperts' load")
    load.set_xlabel("tokens (millions)")
    for axes in (loss, load):
        axes.grid(alpha=0.3)
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
