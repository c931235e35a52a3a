"""Figures of docs/simulate.md and of the README's section on operation.

python benchmarks/simulate_pages.py    # runs the commands that are shown; keeps results, plots. Then: fill_pages.py
"""

import json
import os
import subprocess
import sys
from typing import Any

from pages import RESULTS, ROOT

RUN = "kolossos simulate grok-1 --cluster colossus-100k --days 120 --grow 50000xh100@day60,50000xh200@day90"
NEAR = {"name": "near", "kind": "unknown", "scope": "job", "per_1000_node_days": 0.95, "detect_s": 0.0}
FAR = {"name": "far", "kind": "network", "scope": "fabric", "per_1000_node_days": 0.05, "detect_s": 0.0}
GAINS: dict[str, dict[str, Any]] = {
    "Daly's assumptions hold (failure every 3 h, nothing in the background)": {
        "failures": {"job_mtbf_s": 10_800.0},
        "checkpoint": {"blocking_s": 10.0, "background_s": 0.0},
    },
    "background write of 216 s, failure every 18 min": {
        "failures": {"job_mtbf_s": 1_080.0},
        "checkpoint": {"blocking_s": 1.0, "background_s": 216.0},
        "recovery": {"restart_s": 60.0},
    },
    "cold restart of 15 min, failure every 18 min": {
        "failures": {"job_mtbf_s": 1_080.0},
        "checkpoint": {"blocking_s": 30.0, "background_s": 0.0},
        "recovery": {"restart_s": 900.0},
    },
    "new nodes fail 10 times as often, for 60 days": {
        "failures": {"job_mtbf_s": 14_400.0, "early_life_factor": 9.0, "early_life_days": 60.0},
        "checkpoint": {"blocking_s": 60.0, "background_s": 0.0},
    },
    "copies in peers' memory; one failure in 20 needs the store": {
        "failures": {"job_mtbf_s": 1_080.0, "causes": [NEAR, FAR]},
        "checkpoint": {"blocking_s": 5.0, "background_s": 0.0},
        "recovery": {"policy": "in-process"},
    },
    "both: young nodes and a background write": {
        "failures": {"job_mtbf_s": 7_200.0, "early_life_factor": 9.0, "early_life_days": 60.0},
        "checkpoint": {"blocking_s": 10.0, "background_s": 216.0},
    },
}


def measure_gains(replicates: int = 24) -> list[dict[str, Any]]:
    """Tokens of the simulated optimum over those of the textbook intervals, on failures that no search saw."""
    from kolossos.simulate.closed_forms import daly_interval_s, young_interval_s
    from kolossos.simulate.engine.play import prepare, prepared, simulate
    from kolossos.simulate.quantiles import quantiles
    from kolossos.simulate.scenario import resolve
    from kolossos.simulate.search.objectives import TOKENS_PER_DAY
    from kolossos.simulate.search.optimise import best_interval
    from kolossos.simulate.spec import OperationSpec

    cause = {"name": "any", "kind": "unknown", "scope": "job", "per_1000_node_days": 1.0, "detect_s": 0.0}
    rows = []
    for name, case in GAINS.items():
        values: dict[str, Any] = {
            "days": 60.0,
            "replicates": replicates,
            "step": {"time_s": 1.0},
            "stragglers": {"kinds": []},
            **case,
            "failures": {"causes": [cause], **case["failures"]},
            "recovery": {"restart_s": 300.0, "load_s": 0.0, **case.get("recovery", {})},
        }
        spec = OperationSpec.parse(values, name)
        scenario = resolve(spec)
        best, _ = best_interval(scenario, prepared(scenario), TOKENS_PER_DAY)
        unseen = [prepare(scenario, range(10_000, 10_000 + replicates))]
        tokens = simulate(scenario, best.interval_s, unseen)
        blocking, background, mtbf = spec.checkpoint.blocking, spec.checkpoint.background, scenario.mtbf_s
        row = {"case": name, "best_s": best.interval_s, "goodput": float(tokens.goodput.mean()), "mtbf_s": mtbf}
        seen = spec.days * 86_400.0 / float(tokens.interruptions.mean())  # what an operator would know afterwards
        told = (("blocking", blocking, mtbf), ("whole write", blocking + background, mtbf), ("seen", blocking, seen))
        for label, write, mtbf in told:
            for law, interval in (("young", young_interval_s(write, mtbf)), ("daly", daly_interval_s(write, mtbf))):
                other = simulate(scenario, interval, unseen).tokens
                row[f"{law}, {label}"] = {"interval_s": interval, "gain": quantiles(tokens.tokens / other - 1.0)}
        rows.append(row)
    return rows


def measure() -> None:
    """Run what the page shows."""
    kolossos = [sys.executable, "-m", "kolossos"]
    environment = {**os.environ, "COLUMNS": "100"}
    plots = ROOT / "docs/simulate"
    command = [*kolossos, *RUN.split()[1:], "--json", "--plots", str(plots)]
    run = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    (RESULTS / "simulate_grok1.json").write_text(json.dumps(run, indent=1) + "\n")
    from kolossos.simulate.published import validate_operations

    (RESULTS / "validate_operations.json").write_text(json.dumps(validate_operations(), indent=1) + "\n")
    (RESULTS / "checkpoint_gains.json").write_text(json.dumps(measure_gains(), indent=1) + "\n")


def simulate_run() -> str:
    """The README's table of the run."""
    run = json.loads((RESULTS / "simulate_grok1.json").read_text())
    best, policies = run["best"], run["policies"]
    lines = ["| | mean | 5 to 95 % |", "| --- | ---: | ---: |"]

    def row(name: str, q: dict[str, float], scale: float, form: str) -> None:
        low, high = q["p05"] * scale, q["p95"] * scale
        lines.append(f"| {name} | {q['mean'] * scale:{form}} | {low:{form}} to {high:{form}} |")

    row("tokens, 10¹²", run["tokens"], 1e-12, ",.1f")
    row("goodput, % of the promised speed", run["goodput"], 100, ".1f")
    row("interruptions", run["interruptions"], 1, ",.0f")
    delivered = run["gpu_hours_total"] - run["gpu_hours"]["not_arrived"]["mean"]
    for name, label in (
        ("restart", "lost to restarts"), ("detection", "lost until noticed"), ("sdc", "lost to silent corruption"),
        ("lost_work", "work done again"), ("checkpoint", "blocked by checkpoints"), ("straggler", "lost to stragglers"),
        ("spare", "idle spares"),
    ):  # fmt: skip
        row(f"{label}, % of delivered GPU-hours", run["gpu_hours"][name], 100 / delivered, ".2f")
    row("energy, GWh", run["energy_mwh"], 1e-3, ",.1f")
    row("cost, million USD", run["cost_usd"], 1e-6, ",.0f")
    row("cost of 10¹² tokens, million USD", run["cost_usd_per_1e12_tokens"], 1e-6, ",.2f")
    lines += ["", "| from day | GPUs | step, s | 10⁹ tokens a day | site, MW | over the limit, MW | swing, MW |"]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for phase in run["phases"]:
        power, day = phase["power"], phase["tokens_per_day"]
        spread = f"{day['mean'] / 1e9:,.0f} ({day['p05'] / 1e9:,.0f} to {day['p95'] / 1e9:,.0f})"
        watts = [f"{power[key] / 1e6:.0f}" for key in ("site_mean_watts", "over_limit_watts", "swing_watts")]
        cells = (f"{phase['from_day']:g}", f"{phase['gpus']:,}", f"{phase['step_time_s']:.2f}", spread, *watts)
        lines.append(f"| {' | '.join(cells)} |")
    low, high = best["near_best_interval_s"]
    lines += [
        "",
        f"Best: a checkpoint every {best['checkpoint_interval_s']:.0f} s ({low:.0f} to {high:.0f} s cost less than "
        f"0.1 %), {best['spare_nodes']} spare nodes. The same failures, by recovery policy: "
        + "; ".join(f"{name} {p['goodput']['mean']:.0%} of the promised speed" for name, p in policies.items())
        + f". Step time: {run['step_time_from']}.",
    ]
    return "\n".join(lines)


def operations() -> str:
    """Published beside simulated."""
    figures = json.loads((RESULTS / "validate_operations.json").read_text())
    lines = ["| figure | published | simulated | agrees | check |", "| --- | --- | --- | --- | --- |"]
    for row in figures["rows"]:
        q = row["simulated"]
        spread = f" ({q['p05']:.3g} to {q['p95']:.3g})" if "p05" in q else ""
        agrees = {True: "yes", False: "**no**", None: "-"}[row["agrees"]]
        lines.append(
            f"| {row['quantity']} | {row['published']} | {q['mean']:.3g}{spread} | {agrees} | {row['check']} |"
        )
    s = figures["summary"]
    near, far = (s[f"largest_difference_{where}_points"] for where in ("there", "elsewhere"))
    errors = s["largest_distance_from_exact_in_standard_errors"]
    lines += [
        "",
        f"Expected ETTR (arXiv:2410.21680): {s['ettr_cells']} cells of size, interval and restart. Where (restart + "
        f"interval + write) / MTTF is at most 0.15 ({s['ettr_cells_where_assumptions_hold']} cells), the simulation is "
        f"within {near:.2f} points of the formula. Elsewhere the formula, of first order, leaves out failures that "
        "strike while work is done again or during a restart; there it is off by up to "
        f"{far:.0f} points and falls below 0. Against Daly's exact expectation the simulation is nowhere further than "
        f"{errors:.1f} standard errors.",
    ]
    return "\n".join(lines)


def checkpoint_gains() -> str:
    """By how much the simulated optimum beats the textbook intervals."""
    rows = json.loads((RESULTS / "checkpoint_gains.json").read_text())
    names = ("young, blocking", "daly, blocking", "young, whole write", "daly, whole write", "daly, seen")
    lines = [f"| case | goodput | best | {' | '.join(f'over {name}' for name in names)} |"]
    lines.append("| --- | ---: | ---: |" + " ---: |" * len(names))
    for row in rows:
        cells = [f"{row[name]['gain']['mean']:+.2%} ({row[name]['interval_s']:.0f} s)" for name in names]
        lines.append(f"| {row['case']} | {row['goodput']:.1%} | {row['best_s']:.0f} s | {' | '.join(cells)} |")
    return "\n".join(lines)


def simulate_speed() -> str:
    """Time and memory."""
    row = json.loads((RESULTS / "simulate_speed.json").read_text())
    fleets = [f"{r['gpus']:,} GPUs {r['seconds']:.3f} s" for r in row["same_failures_other_fleets"]]
    failures = [f"{r['failures']:,.0f} failures {r['seconds']:.3f} s" for r in row["same_fleet_other_failures"]]
    peak = row["many_replicates_peak_bytes"] / 1e6
    return (
        f"100,000 GPUs for 90 days ({row['failures_per_replicate']:,.0f} failures), on one core of "
        f"{row['machine']['cpu']}: one replicate {row['one_replicate_s']:.3f} s; {row['replicates']:,} replicates "
        f"{row['many_replicates_s']:.1f} s, peak {peak:,.0f} MB. As many failures on other fleets: "
        f"{', '.join(fleets)}. The same fleet: {', '.join(failures)}. (`python benchmarks/simulate_speed.py`)"
    )


FIGURES = {
    "simulate_run": simulate_run,
    "operations": operations,
    "checkpoint_gains": checkpoint_gains,
    "simulate_speed": simulate_speed,
}


if __name__ == "__main__":
    measure()
