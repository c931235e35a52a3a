"""Figures of docs/plan.md and of the README's section on planning.

python benchmarks/plan_pages.py    # runs the commands that are shown; keeps results, picture. Then: fill_pages.py
"""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

from pages import RESULTS, ROOT

from kolossos.plan.answer.record import LARGEST_MEASURED

CLUSTERS = ("colossus-100k", "colossus-200k")
TOKENS = "15e12"
MEASUREMENTS = ROOT / "benchmarks/measurements"
LARGER_BATCH = "126e6"


def measure() -> None:
    """Run the commands of the pages; several minutes at most."""
    plans = {cluster: _kolossos("plan", "grok-1", "--cluster", cluster, "--tokens", TOKENS) for cluster in CLUSTERS}
    batch = ("--global-batch-tokens", LARGER_BATCH)
    plans["larger batch"] = _kolossos("plan", "grok-1", "--cluster", CLUSTERS[1], "--tokens", TOKENS, *batch)
    for plan in plans.values():
        for name in ("model", "pareto", "runner_ups", "why", "memory_by_stage"):
            plan.pop(name, None)
    _keep("plan_grok1", {"date": str(date.today()), "plans": plans})
    files = ("--measurements", MEASUREMENTS / "measurements.csv", "--models", MEASUREMENTS / "models.json")
    scored = _kolossos("validate", *map(str, files))
    summary = scored["summary"]
    summary.pop("by_source")
    summary.pop("by_model")
    _keep("plan_accuracy", {"date": str(date.today()), "skipped": scored["skipped"], **summary})
    search = subprocess.run(
        [sys.executable, ROOT / "benchmarks/plan_search.py", "--json"], capture_output=True, text=True, check=True
    )
    _keep("plan_search", {"date": str(date.today()), **json.loads(search.stdout)})
    picture = ("--plot", str(ROOT / "docs/plan_grok1_100k.png"))
    _kolossos("plan", "grok-1", "--cluster", CLUSTERS[0], "--tokens", TOKENS, *picture)


def _kolossos(*arguments: str) -> dict[str, Any]:
    command = Path(sys.executable).parent / "kolossos"
    print("kolossos", *arguments, file=sys.stderr)
    result = subprocess.run([command, *arguments, "--json"], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def _keep(name: str, result: dict[str, Any]) -> None:
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def plan_grok1() -> str:
    """The two clusters side by side, and what the expansion buys."""
    plans = _read("plan_grok1")["plans"]
    shown = [plans[name] for name in CLUSTERS]
    head = [f"`{name}`" for name in CLUSTERS]
    rows = [
        ("GPUs at work", *(f"{p['n_gpus']:,}" for p in shown)),
        ("how", *(_how(p) for p in shown)),
        ("layout (of most GPUs)", *(_layout(p["layout"]) for p in shown)),
        ("step, s", *(_with(p, "step_time_s", 1, ".2f") for p in shown)),
        ("tokens/s, million", *(f"{p['tokens_per_s'] / 1e6:.1f}" for p in shown)),
        ("MFU of the fp8 peak, %", *(_with(p, "mfu", 100, ".1f") for p in shown)),
        ("days to 15e12 tokens", *(_with(p, "days", 1, ".2f") for p in shown)),
        ("rent, million USD", *(_with(p, "cost_usd", 1e-6, ".1f") for p in shown)),
        ("energy, GWh", *(_with(p, "energy_joules", 1 / 3.6e12, ".1f") for p in shown)),
        ("power of the site, MW", *(f"{p['site_watts'] / 1e6:.0f}" for p in shown)),
    ]
    lines = ["| | " + " | ".join(head) + " |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    small, large = shown
    wider = plans["larger batch"]
    tokens, more_tokens = small["tokens_per_step"] / 1e6, float(LARGER_BATCH) / 1e6
    buys = small["days"] / large["days"]
    lines += [
        "",
        f"The expansion trains {buys:.2f} times as fast with {large['n_gpus'] / small['n_gpus']:.2f} times the GPUs: "
        f"{small['days']:.2f} days become {large['days']:.2f}. It costs {_more(large, small, 'cost_usd')} in rent, "
        f"{_more(large, small, 'energy_joules')} in energy and {_more(large, small, 'site_watts')} in power. The batch "
        f"({tokens:.0f} M tokens) is too small to feed it: with {more_tokens:.0f} M tokens a step it would take "
        f"{wider['days']:.2f} days and {wider['cost_usd'] / 1e6:.1f} million USD. Estimates, with 90 % intervals from "
        f"the planner's own errors; no published run has more than {LARGEST_MEASURED:,} GPUs.",
    ]
    return "\n".join(lines)


def _how(plan: dict[str, Any]) -> str:
    if "split" not in plan:
        return plan["gpu"]
    best = next(s for s in plan["split"] if abs(s["step_time_s"] - plan["step_time_s"]) < 1e-9)
    shares = ", ".join(f"{part['n_gpus']:,} {part['gpu']}" for part in best["contributions"])
    return f"{best['how']}: {shares}"


def _layout(layout: dict[str, Any]) -> str:
    axes = [f"{name} {layout[name]}" for name in ("tp", "pp", "vp", "cp", "ep", "etp") if layout[name] > 1]
    return f"{', '.join(axes)}, {layout['precision']}, recompute {layout['recompute']}, {layout['schedule']}"


def _with(plan: dict[str, Any], name: str, scale: float, form: str) -> str:
    low, high = plan["intervals"][name]
    return f"{plan[name] * scale:{form}} ({low * scale:{form}} to {high * scale:{form}})"


def _more(large: dict[str, Any], small: dict[str, Any], name: str) -> str:
    return f"{large[name] / small[name] - 1:+.0%}"


def plan_accuracy() -> str:
    """Errors in the fit, and on sources that the fit did not see."""
    fit, scored = _read("fit_plan"), _read("plan_accuracy")
    lines = [
        "| software generation | rows | mean error in the fit | mean error, source left out | one constant |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    everything, unseen = scored["all"], fit["left out by source"]
    named = [("**all**", everything, unseen)]
    left_out = fit["by generation, left out by source"]
    named += [(name, figures, left_out[name]) for name, figures in scored["by_generation"].items() if name in left_out]
    for name, seen, out in named:
        cells = (seen["mean_absolute_error"], out["mean"], seen["constant_efficiency_error"])
        lines.append(f"| {name} | {seen['rows']} | " + " | ".join(f"{c:.1%}" for c in cells) + " |")
    elsewhere, memory = fit["left out by repository"], scored["memory"]
    h100, vtrain = scored["by_gpu"]["h100"], scored["by_generation"]["megatron-deepspeed-2023"]
    lines += [
        "",
        f"On sources left out: median {unseen['median']:.1%}, nine tenths below {unseen['p90']:.0%}, bias "
        f"{unseen['bias']:+.1%}. With whole repositories left out the mean is {elsewhere['mean']:.1%}: then a software "
        f"generation is often unknown. In the fit: H100 {h100['mean_absolute_error']:.1%}; vTrain's layouts have "
        f"Kendall's tau {vtrain['kendall']:.2f}, and the planner's favourite is {vtrain['regret']:.1%} slower than the "
        f"best measured. {everything['coverage_90']:.0%} of the measurements lie in their 90 % interval. Memory, where "
        f"it is known ({memory['rows']} rows): mean {memory['mean_absolute_error']:.1%}, median "
        f"{memory['median_absolute_error']:.1%}. ({fit['date']}; `kolossos validate`, `python benchmarks/fit_plan.py`)",
    ]
    return "\n".join(lines)


def plan_search() -> str:
    """Speed of the search."""
    result = _read("plan_search")
    lines = ["| search | layouts priced | seconds | peak memory |", "| --- | ---: | ---: | ---: |"]
    for s in result["searches"]:
        lines.append(
            f"| {s['model']} on {s['n_gpus']:,} GPUs | {s['layouts']:,} | {s['seconds']:.1f} | "
            f"{s['peak_bytes'] / 1e6:.0f} MB |"
        )
    rate = result["layouts_per_s"]
    return "\n".join(
        [*lines, "", f"{rate / 1e6:.2f} million layouts a second on one core (`python benchmarks/plan_search.py`)."]
    )


FIGURES = {"plan_grok1": plan_grok1, "plan_accuracy": plan_accuracy, "plan_search": plan_search}


if __name__ == "__main__":
    measure()
