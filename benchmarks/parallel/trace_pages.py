"""The figures of docs/trace.md, and of docs/survival.md and docs/training.md on many ranks, from the newest results."""

import json

from pages import RESULTS
from parallel.flipped_bits import page as flipped_bits_page

GIB = 2**30


def grok_1() -> str:
    """Traced against counted, rank by rank."""
    newest = sorted(RESULTS.glob("trace-2*.json"))[-1]
    found = json.loads(newest.read_text())
    lines = [
        "| GPUs | rank of stage | PFLOP | traced / counted | sent, GiB | traced / counted, worst axis "
        "| peak memory, GiB | traced / counted | trace took |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        traced, counted = (sum(pair[i] for pair in row["flops"].values()) for i in (0, 1))
        sent = sum(pair[0] for pair in row["sent_bytes"].values())
        worst = max((t / c for t, c in row["sent_bytes"].values() if c), key=lambda ratio: abs(ratio - 1))
        peak, planned = row["peak_bytes"]
        took = row["trace"]
        lines.append(
            f"| {row['gpus']:,} | {row['stage']} of {row['layout']['pp']} "
            f"| {traced / 1e15:.3f} | {traced / counted:.6f} | {sent / GIB:.2f} | {worst:.4f} "
            f"| {peak / GIB:.1f} | {peak / planned:.3f} "
            f"| {took['seconds']:.0f} s, {took['peak_rss_bytes'] / GIB:.1f} GiB |"
        )
    layouts = []
    for row in found["rows"]:
        text = " ".join(f"{k}={v}" for k, v in row["layout"].items() if k in AXES and v != 1)
        if text not in layouts:
            layouts.append(text)
    named = "; ".join(f"`{text}`" for text in layouts)
    where = f"{found['processor']}, one core, {found['date']}"
    return "\n".join([*lines, "", f"Layouts: {named} ({where}; `python benchmarks/parallel/trace_grok1.py`)."])


AXES = ("tp", "pp", "vp", "cp", "ep", "etp", "dp_shard", "dp_replicate", "global_batch_size", "sharding")


def _newest(kind: str) -> dict:
    return json.loads(sorted(RESULTS.glob(f"{kind}-2*.json"))[-1].read_text())


def simulated_chaos() -> str:
    """Measured against predicted, run by run."""
    found = _newest("simulated_chaos")
    lines = ["| faults | seconds with them, without | goodput measured | predicted |", "| ---: | ---: | ---: | ---: |"]
    for row in found["runs"]:
        broken, unbroken = row["wall_s"]["broken"], row["wall_s"]["unbroken"]
        figures = f"{row['measured_goodput']:.3f} | {row['predicted_goodput']:.3f}"
        lines.append(f"| {row['faults']} | {broken:.1f}, {unbroken:.1f} | {figures} |")
    command = "python benchmarks/parallel/simulated_chaos.py FIRST.json SECOND.json THIRD.json --start 5"
    faults = found["table"][0]["faults"]
    where = f"table of a run with {faults} faults; {found['processor']}, {found['date']}"
    return "\n".join([*lines, "", f"({where}; `{command}`)"])


def scaling() -> str:
    """Two ranks against one."""
    found = _newest("scaling")
    said = [
        f"{kind} {row['median_ratio']:.2f} times (losses within {row['largest_difference_of_loss']:.0e}, of the first "
        f"two steps {row['of_the_first_two_steps']:.0e})"
        for kind, row in found["models"].items()
    ]
    where = f"{found['processor']}, {found['date']}; `python benchmarks/parallel/scaling.py`"
    return f"Two ranks of one thread each against one of one thread: {', '.join(said)} ({where})."


def checkpoint() -> str:
    """What a save costs, seconds a GiB."""
    found = _newest("checkpoint")
    lines = ["| state | way | blocked, first save | later | durable |", "| --- | --- | ---: | ---: | ---: |"]
    for size, rows in found["sizes"].items():
        gibibytes = float(size.split()[0])
        for way, row in rows.items():
            first, later, durable = (row[k] / gibibytes for k in ("blocked_first_s", "blocked_later_s", "durable_s"))
            lines.append(f"| {size} | {way} | {first:.2f} | {later:.2f} | {durable:.2f} |")
    where = f"seconds a GiB; {found['processor']}, {found['date']}"
    return "\n".join([*lines, "", f"({where}; `python benchmarks/parallel/checkpoint_cost.py`)"])


FIGURES = {
    "flipped_bits": lambda: flipped_bits_page(_newest("flipped_bits")),
    "trace_grok1": grok_1,
    "simulated_chaos": simulated_chaos,
    "scaling": scaling,
    "checkpoint_cost": checkpoint,
}
