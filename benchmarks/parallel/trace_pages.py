"""The figures of docs/trace.md, from the newest results."""

import json

from pages import RESULTS

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

FIGURES = {"trace_grok1": grok_1}
