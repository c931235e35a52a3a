"""Grok-1 on a hundred thousand GPUs traced, in the layout that the planner chooses, beside the planner's counts.

    python benchmarks/parallel/trace_grok1.py [--out FILE.json]

Each rank is traced by `kolossos trace --json` in a process of its own, for its seconds and its memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from kolossos.plan.closed_form.counts import counts_of_rank
from kolossos.plan.closed_form.stage_memory import memory_by_stage
from kolossos.plan.job import Job
from kolossos.runs.environment import processor_name
from kolossos.specs.catalogue import load_cluster
from kolossos.specs.run import load_run

CLUSTER, SOFTWARE = "colossus-100k", "kolossos"
EXACTLY = ["layout.tp=4", "layout.pp=5", "layout.ep=8", "layout.etp=4", "layout.dp_shard=8", "layout.dp_replicate=625"]
EXACTLY += ["layout.vp=1", "layout.cp=1", "layout.global_batch_size=25000"]
"""A layout of exactly 100,000 ranks, for the planner leaves some GPUs idle."""


def planned(folder: Path) -> Path:
    """The run file that `kolossos plan` writes."""
    path = folder / "grok-1.toml"
    command = ["plan", "grok-1", "--cluster", CLUSTER, "--software", SOFTWARE, "--precision", "bf16"]
    kolossos([*command, "--export", "kolossos", "--out", str(path)])
    return path


def kolossos(arguments: list[str]) -> str:
    return subprocess.run(
        [sys.executable, "-m", "kolossos", *arguments], check=True, capture_output=True, text=True
    ).stdout


def compared(run: Path, rank: int, settings: list[str]) -> dict[str, Any]:
    """One rank traced and counted."""
    sets = [word for value in settings for word in ("--set", value)]
    traced = json.loads(kolossos(["trace", str(run), "--rank", str(rank), "--json", *sets]))
    spec = load_run(run, settings)
    layout = spec.layout
    job = Job.of(spec.model, load_cluster(CLUSTER), software=SOFTWARE, n_gpus=layout.world_size).with_layout(layout)
    setting = job.setting_of([layout])
    stage = traced["coordinates"]["pp"]
    counted = counts_of_rank(spec.model, setting, stage)
    sent: Counter[str] = Counter()
    for row in traced["sent"]:
        sent[row["axis"]] += row["bytes"]
    memory = memory_by_stage(setting)[stage]
    return {
        "gpus": layout.world_size,
        "layout": layout.model_dump(),
        "rank": rank,
        "stage": stage,
        "flops": {kind: [traced["flops"].get(kind, 0), flops] for kind, flops in counted.flops.items()},
        "sent_bytes": {axis: [sent[axis], size] for axis, size in counted.sent_bytes.items()},
        "peak_bytes": [traced["memory"]["peak_bytes"], memory.total - float(setting.software.runtime_bytes)],
        "trace": traced["trace"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = planned(Path(folder))
        layout = load_run(run).layout
        per_stage = layout.world_size // layout.pp
        for rank in (0, layout.pp // 2 * per_stage, layout.world_size - 1):
            rows.append(compared(run, rank, []))
            print(json.dumps(rows[-1]), flush=True)
        rows.append(compared(run, 0, EXACTLY))
        print(json.dumps(rows[-1]), flush=True)
    found = {"date": str(date.today()), "processor": processor_name(), "rows": rows}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
