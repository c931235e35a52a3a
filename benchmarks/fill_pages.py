"""Put measured figures into README.md and docs/: no number there is typed by hand.

python benchmarks/fill_pages.py            # rewrites what stands between `<!-- figures: NAME -->` and `<!-- end -->`
python benchmarks/fill_pages.py --check    # exit code 1 if a page differs from the results
"""

import json
import re
import sys
from collections.abc import Callable

import ground.answer_pages as answer_pages
import ground.index_pages as ground_pages
import notes.market_pages as notes_pages
import parallel.trace_pages as trace_pages
import plan_pages
import race_pages
import serve.serve_pages as serve_pages
import simulate_pages
from pages import RESULTS, ROOT, filled
from robustness.chaos import page as chaos_page

PAGES = (
    "README.md",
    "docs/training.md",
    "docs/plan.md",
    "docs/simulate.md",
    "docs/race.md",
    "docs/survival.md",
    "docs/notes.md",
    "docs/serve.md",
    "docs/trace.md",
    "docs/ground.md",
)


def time_to_beat() -> str:
    rows = json.loads((RESULTS / "time_to_beat.json").read_text())
    machine = rows[0]["machine"]
    lines = ["| training took | steps | tokens | tokens/s | bits/byte | `gzip -9` | `xz -9` |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        gzip, xz = (row["compressors_bits_per_byte"][name] for name in ("gzip -9", "xz -9"))
        seconds, tokens = row["training_seconds"], row["tokens"]
        lines.append(
            f"| {seconds / 60:.1f} min | {row['steps']:,} | {tokens:,} | {tokens / seconds:,.0f} "
            f"| {row['bits_per_byte']:.3f} | {gzip:.3f} | {xz:.3f} |"
        )
    for name in ("gzip -9", "xz -9"):
        beaten = [row for row in rows if row["bits_per_byte"] < row["compressors_bits_per_byte"][name]]
        when = "not beaten in the lengths measured"
        if beaten:
            when = f"beaten within {beaten[0]['training_seconds'] / 60:.1f} minutes ({beaten[0]['tokens']:,} tokens)"
        lines += ["", f"`{name}`: {when}."]
    where = f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}, {rows[0]['date']}"
    lengths = " ".join(row["run"].split("-")[0] for row in rows)
    return "\n".join([*lines, "", f"({where}; `python benchmarks/time_to_beat.py --minutes {lengths}`)"])


def train_speed(kind: str = "train_speed", precision: str = "") -> str:
    """The newest results, or the newest in which Kolossos ran in ``precision``."""
    newest = sorted(file for file in RESULTS.glob(f"{kind}-2*.md") if f"| kolossos | {precision}" in file.read_text())[
        -1
    ]
    machine, *tables = newest.read_text().split("\n## ")
    facts = " ".join(machine.split("\n\n")[1:]).replace("\n", " ").strip()
    shown = [re.sub(r"^(.+)\n", r"**\1**\n", table, count=1) for table in tables if not table.startswith("Aims")]
    return "\n".join([facts, "", *shown]).strip()


def moe_against_dense() -> str:
    rows = json.loads((RESULTS / "moe_against_dense.json").read_text())
    lines = ["| model | tokens | validation loss | bits/byte | lowest load entropy, second half |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for model, row in rows.items():
        entropy = row.get("lowest_load_entropy_in_second_half")
        cells = (f"{row['tokens']:,}", f"{row['validation_loss']:.3f}", f"{row['bits_per_byte']:.3f}")
        lines.append(f"| {model} | {' | '.join(cells)} | {'-' if entropy is None else f'{entropy:.3f}'} |")
    return "\n".join(lines)


def newest(kind: str) -> dict:
    return json.loads(sorted(RESULTS.glob(f"{kind}-2*.json"))[-1].read_text())


GPU_ROWS = {
    "adamw": "grok-mini",
    "wrapped": "grok-mini in the wrappers of many ranks",
    "plain": "the same without cap, outer norms and documents",
    "plain documents": "the same without cap and outer norms",
    "torchtitan": "torchtitan 0.2.2: its Qwen3 of that shape, whole sequences",
    "torchtitan documents": "torchtitan 0.2.2: its Qwen3 of that shape, documents",
    "muon": "grok-mini, Muon",
}


def gpu_step() -> str:
    result = newest("gpu_step")
    lines = ["| step | tokens/s | MFU of the bf16 peak | step, ms | kernels, ms | peak memory | first step |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, row in result["rows"].items():
        cells = (f"{row['tokens_per_s']:,.0f}", f"{row['mfu']:.1%}", f"{1e3 * row['step_s']:.0f}")
        cells += (f"{1e3 * row['kernels_s']:.0f}", f"{row['peak_gib']:.1f} GiB", f"{row['first_step_s']:.0f} s")
        lines.append(f"| {GPU_ROWS[name]} | {' | '.join(cells)} |")
    where = f"{result['card']}, torch {result['torch']}, {result['date']}; `python benchmarks/gpu/step.py`"
    return "\n".join([*lines, "", f"({where}; 1B class, 8 x 2,048 tokens, AdamW, bf16, compiled)"])


def gpu_soft_cap() -> str:
    file = sorted(RESULTS.glob("gpu_soft_cap-2*.txt"))[-1]
    card, *rows = file.read_text().strip().splitlines()
    where = f"({card}, {file.stem.removeprefix('gpu_soft_cap-')}; `python benchmarks/gpu/soft_cap.py`)"
    return "\n".join(["```", *(row.removesuffix(", relative error nan") for row in rows), "```", "", where])


def gpu_serve() -> str:
    result = newest("gpu_serve")
    differ, of = (sum(row[key] for row in result["rows"]) for key in ("differ", "of"))
    batches = list(next(iter(result["speed"].values()))["tokens_per_s"])
    lengths = list(next(iter(result["speed"].values()))["first_token_s"])
    heads = [f"tokens/s, batch {n}" for n in batches] + [f"first token of {int(n):,}, ms" for n in lengths]
    lines = [f"| engine | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    for name, row in result["speed"].items():
        cells = [f"{row['tokens_per_s'][n]:,.0f}" for n in batches]
        cells += [f"{1e3 * row['first_token_s'][n]:.1f}" for n in lengths]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    where = f"{result['card']}, torch {result['torch']}, {result['date']}; `python benchmarks/gpu/serve.py`"
    said = (
        f"{differ} of {of:,} tokens and log-probabilities differ in {len(result['rows'])} comparisons (fp32 and bf16)"
    )
    return "\n".join([*lines, "", f"({where}; a mixture of the 1B class in bf16, prompts of 128; {said})"])


def calibrate_on() -> str:
    result = newest("calibrate_on")
    lines = [
        "| fitted without | groups | error before, mean (median) | after | within 4 % | inside of the 90 % interval |"
    ]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for left_out in ("repository left out", "source left out"):
        for half in ("not tuned on", "tuned on"):
            row = result[left_out][half]
            cells = [f"{row['groups']}"]
            cells += [f"{row[f'mean_{when}']:.1%} ({row[f'median_{when}']:.1%})" for when in ("before", "after")]
            cells += [f"{row['groups_within_aim']:.0%}", f"{row['inside_the_interval']:.0%}"]
            what = left_out.removesuffix(" left out")
            lines.append(f"| its {what}; groups {half} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"({result['date']}; `python benchmarks/calibrate_on.py`)"])


def chaos(kind: str = "chaos") -> str:
    return chaos_page(json.loads(sorted(RESULTS.glob(f"{kind}-2*.json"))[-1].read_text()))


FIGURES: dict[str, Callable[[], str]] = {
    "demo": time_to_beat,
    "calibrate_on": calibrate_on,
    "gpu_step": gpu_step,
    "gpu_serve": gpu_serve,
    "gpu_soft_cap": gpu_soft_cap,
    "train_speed_bf16": lambda: train_speed(precision="bf16"),
    "train_speed_fp32": lambda: train_speed(precision="fp32"),
    "train_speed_dense": lambda: train_speed("train_speed_dense"),
    "chaos": chaos,
    "survive": lambda: chaos("survive"),
    "hosts": lambda: chaos("hosts"),
    "moe_against_dense": moe_against_dense,
}


def main() -> int:
    rooms = plan_pages, simulate_pages, race_pages, notes_pages, serve_pages, trace_pages, ground_pages, answer_pages
    figures = FIGURES | {name: make for room in rooms for name, make in room.FIGURES.items()}
    differing = []
    for page in PAGES:
        path = ROOT / page
        before = path.read_text()
        after = filled(before, figures)
        if after != before:
            differing.append(page)
            if "--check" not in sys.argv:
                path.write_text(after)
    print("changed: " + ", ".join(differing) if differing else "all pages agree with the results")
    return 1 if differing and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
