"""What the commands print, recorded before a change of the house and compared after it.

    python benchmarks/record_outputs.py before/                    # on the old commit
    python benchmarks/record_outputs.py after/ --against before/   # on the new one: names every difference

Everything that is a pure function of its input is recorded byte by byte: plans, scores, simulations, races, reports,
fifty training losses, evaluations and completions. Clocks (seconds, tokens/s, dates) are blanked. With ``--against``,
``resumed`` continues the old commit's own run from its checkpoint at step 25, so that a change of the first weights
alone shows as different losses from scratch and equal ones on the way.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("grok-1", "llama-3.1-405b", "deepseek-v3-671b", "mixtral-8x7b", "qwen3-30b-a3b", "llama3-8b")
CLUSTERS = ("colossus-100k", "colossus-200k", "dgx-h100-1024", "gb200-nvl72-1152")
TABLES = Path(__file__).parent / "measurements"
OPERATION = ["--step-time", "5", "--json"]
CLOCKS = re.compile(
    r'("(?:seconds|tokens_per_s|step_s|mfu|date|made|written|created|wall_s|generated_at|kolossos_version)": )'
    r'("[^"]*"|[-+.\deE]+)'
)
RUN = """
name = "recorded"
seed = 3
[model]
spec = "{spec}"
n_layers = 2
vocab_size = 1024
[data]
path = "data"
[layout]
seq_len = 64
micro_batch_size = 4
global_batch_size = 8
precision = "fp32"
[optimizer]
name = "{optimizer}"
lr = 0.003
[schedule]
steps = 50
warmup_steps = 5
[checkpoint]
every = 25
keep = 4
[compute]
device = "cpu"
threads = 1
compile = "off"
"""


def commands() -> dict[str, list[str]]:
    """Every recorded command by name, without training."""
    made: dict[str, list[str]] = {}
    for model in MODELS:
        for cluster in CLUSTERS:
            made[f"plan-{model}-{cluster}"] = ["plan", model, "--cluster", cluster, "--tokens", "1e12", "--json"]
    made["plan-why"] = ["plan", "grok-1", "--cluster", "dgx-h100-1024", "--why"]
    made["plan-layout"] = ["plan", "grok-1", "--cluster", "dgx-h100-1024", "--json", "--layout", "tp=8,pp=4,ep=8,etp=2"]
    made["plan-any-schedule"] = ["plan", "mixtral-8x7b", "--cluster", "dgx-h100-256", "--any-schedule", "--json"]
    for target in ("kolossos", "megatron", "torchtitan"):
        name = f"export-{target}"
        made[name] = ["plan", "mixtral-8x7b", "--cluster", "dgx-h100-256", "--export", target, "--out", f"{name}.txt"]
    tables = ["--measurements", f"{TABLES}/measurements.csv", "--models", f"{TABLES}/models.json"]
    made["validate"] = ["validate", *tables, "--json"]
    made["validate-table"] = ["validate", *tables]
    made["validate-operations"] = ["validate", "--operations", "--replicates", "20", "--json"]
    grow = ["--grow", "50000xh100@day20,50000xh200@day30", "--days", "40", "--replicates", "10"]
    for policy in ("store", "peer-memory", "in-process", "shrink-and-heal"):
        made[f"simulate-{policy}"] = ["simulate", "grok-1", *grow, "--policy", policy, *OPERATION]
    made["simulate-planned"] = ["simulate", "grok-1", *grow, "--json"]
    made["simulate-table"] = ["simulate", "grok-1", *grow, "--step-time", "5"]
    small = ["--cluster", "dgx-h100-1024", "--replicates", "4"]
    for objective in ("tokens-per-day", "cost-per-token"):
        made[f"optimise-{objective}"] = ["optimise", "grok-1", *small, "--objective", objective, *OPERATION]
    made["optimise-shrink"] = ["optimise", "grok-1", *small, "--policy", "shrink-and-heal", *OPERATION]
    made["race"] = ["race", "--replicates", "200", "--json"]
    made["race-table"] = ["race", "--replicates", "200", "--years", "3"]
    for source in ("plan-grok-1-colossus-100k", "plan-grok-1-colossus-200k", "simulate-planned"):
        made[f"report-{source}"] = ["report", f"{source}.txt", "--json"]
        made[f"report-revenue-{source}"] = ["report", f"{source}.txt", "--json", "--developer-revenue-usd", "8e8"]
    return made


def run(arguments: list[str], folder: Path, name: str) -> str:
    """Stdout (and the exit code, if it is not 0) of ``kolossos`` in ``folder``, kept there as NAME.txt."""
    environment = dict(os.environ, COLUMNS="120", TERM="dumb", OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-m", "kolossos", *arguments], cwd=folder, capture_output=True, text=True, env=environment
    )
    text = done.stdout if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return text


def record_training(folder: Path, before: Path | None) -> None:
    """Fifty losses of four small runs, what is generated and scored by them, and the old runs' second halves."""
    stdlib = Path(os.__file__).parent
    sources = [str(stdlib / name) for name in ("json", "email", "asyncio", "unittest")]
    run(["data", "prepare", *sources, "--out", "data", "--vocab-size", "1024"], folder, "data")
    if before is not None:  # the losses are compared on the same tokens
        shutil.rmtree(folder / "data", ignore_errors=True)
        shutil.copytree(before / "data", folder / "data")
    for spec in ("grok-nano", "tiny-dense"):
        for optimizer in ("adamw", "muon"):
            name = f"{spec}-{optimizer}"
            (folder / f"{name}.toml").write_text(RUN.format(spec=spec, optimizer=optimizer))
            run(["train", f"{name}.toml", "--run", f"runs/{name}", "--json"], folder, f"train-{name}")
            losses(folder / "runs" / name, folder / f"losses-{name}.txt")
            old = folder / "runs" / name if before is None else before / "runs" / name
            resumed = folder / "resumed" / name
            shutil.copytree(old, resumed)
            shutil.rmtree(resumed / "checkpoints" / "step-00000050")
            run(["train", f"resumed/{name}", "--json"], folder, f"resumed-{name}")
            losses(resumed, folder / f"resumed-losses-{name}.txt")
            model = str(old)
            run(["eval", model, "--precision", "fp32", "--json"], folder, f"eval-{name}")
            run(
                ["complete", model, "import os", "--max-tokens", "32", "--n", "2", "--json"], folder, f"complete-{name}"
            )
    run(["report", f"resumed/{name}", "--json"], folder, "report-run")


def losses(run_folder: Path, out: Path) -> None:
    """The values of every training and validation event that no clock decides."""
    lines = []
    for line in (run_folder / "metrics.jsonl").read_text().splitlines()[1:]:
        event = json.loads(line)
        kept = ("step", "loss", "grad_norm", "balance", "router_z", "load_entropy", "validation_loss", "bits_per_byte")
        lines.append(json.dumps({key: event[key] for key in kept if key in event}))
    out.write_text("\n".join(lines) + "\n")


def blanked(text: str, folder: Path) -> str:
    """``text`` without clocks and without the name of its folder."""
    return CLOCKS.sub(r"\1-", text.replace(str(folder), "FOLDER"))


def compare(before: Path, after: Path) -> int:
    """Print which recorded files differ, and where; how many there are."""
    differing = 0
    names = sorted({path.name for folder in (before, after) for path in folder.glob("*.txt")})
    for name in names:
        old, new = (
            blanked((folder / name).read_text(), folder).replace(str(before), "FOLDER")
            if (folder / name).exists()
            else ""
            for folder in (before, after)
        )
        if old == new:
            continue
        differing += 1
        pairs = list(zip(old.splitlines(), new.splitlines(), strict=False))
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        print(f"DIFFERS {name}, {sum(a != b for a, b in pairs)} of {len(pairs)} lines, line {first + 1}:")
        print("  before:", "\n".join(old.splitlines()[first : first + 1])[:200])
        print("  after: ", "\n".join(new.splitlines()[first : first + 1])[:200])
    print(f"{len(names) - differing} of {len(names)} recorded outputs are the same bytes")
    return differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--against", type=Path, help="a folder recorded before")
    parser.add_argument("--only", default="", help="only commands whose name holds this text; no training")
    options = parser.parse_args()
    folder = options.folder.resolve()
    before = options.against.resolve() if options.against else None
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    for name, arguments in commands().items():
        if options.only in name:
            run(arguments, folder, name)
    if not options.only:
        for name in ("data", "runs", "resumed"):
            shutil.rmtree(folder / name, ignore_errors=True)
        record_training(folder, before)
    print(f"recorded in {time.monotonic() - start:.0f} s", file=sys.stderr)
    if before is None:
        return
    if options.only:  # what was not recorded again is not compared
        with tempfile.TemporaryDirectory() as copy:
            for path in before.glob("*.txt"):
                if (folder / path.name).exists():
                    (Path(copy) / path.name).write_text(blanked(path.read_text(), before))
            sys.exit(1 if compare(Path(copy), folder) else 0)
    sys.exit(1 if compare(before, folder) else 0)


if __name__ == "__main__":
    main()
