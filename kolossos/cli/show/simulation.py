"""Simulated runs and searches for people, from the dictionaries of ``kolossos.simulate``."""

from typing import Any

from rich.console import Console
from rich.table import Table

from kolossos.cli.show.text import table_console
from kolossos.simulate.engine.buckets import BUCKETS
from kolossos.simulate.policies import load_policy
from kolossos.simulate.search.optimise import Search

Quantiles = dict[str, float]


def print_run(figures: dict[str, Any], console: Console | None = None) -> None:
    """What arrives, what is lost to what, the best policy, the megawatts, the money."""
    console = console or table_console()
    runs = figures["replicates"]
    console.print(f"[bold]{figures['name']}[/bold], {figures['days']:g} days, {runs} runs: mean, and 5 to 95 %")
    console.print(_arrives(figures))
    console.print(_lost(figures))
    console.print(_fleet(figures))
    console.print(_power(figures))
    console.print(_money(figures))
    if "best" in figures:
        console.print(_best_line(figures["best"], figures["checkpoint"]))
    if "policies" in figures:
        console.print(_policies(figures["policies"]))
    table = figures["failure_table"]
    console.print(f"Failures: {table['name']}. {table['source']}. Grades: {table['grade']}.", style="dim")
    console.print(f"Step time: {figures['step_time_from']}.", style="dim", markup=False)
    console.print("Assumed: " + "; ".join(figures["assumptions"]) + ".", style="dim")


def print_search(figures: dict[str, Any], search: Search, console: Console | None = None) -> None:
    """The candidates by interval, spares and replicas, best first."""
    console = console or table_console()
    objective = search.objective
    headers = ("interval", "spare nodes", "replicas", objective.unit, "goodput", "against best")
    table = Table(*headers, box=None, pad_edge=False)
    for column in table.columns:
        column.justify = "right"
    best = float(objective.value(search.best.outcome).mean())
    recovery = [candidate.scenario.spec.recovery for candidate in search.tried]
    unique = {(c.interval_s, r.spare_nodes, r.replicas): (c, r) for c, r in zip(search.tried, recovery, strict=True)}
    for c, r in sorted(unique.values(), key=lambda row: objective.loss(row[0].outcome))[:15]:
        value = float(objective.value(c.outcome).mean())
        cells = (str(r.spare_nodes), str(r.replicas), f"{value:,.4g}")
        goodput = f"{c.outcome.goodput.mean():.2%}"
        table.add_row(duration(c.interval_s), *cells, goodput, f"{value / best - 1:+.2%}")
    console.print(table)
    console.print(_best_line(figures, {"young_s": search.young_s, "daly_s": search.daly_s}))


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    for limit, unit, size in ((120.0, "s", 1.0), (7200.0, "min", 60.0), (172_800.0, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400.0:.3g} d"


def span(q: Quantiles, form: str = ",.3g", scale: float = 1.0) -> tuple[str, str]:
    """Mean, and the 5 to 95 % range."""
    low, high = q["p05"] * scale, q["p95"] * scale
    return f"{q['mean'] * scale:{form}}", f"{low:{form}} to {high:{form}}"


def amount(value: float, unit: str = "") -> str:
    """Three digits and a suffix, as in 125 M."""
    for size, suffix in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:,.3g}{suffix}{unit}"
    return f"{value:.3g}{' ' + unit if unit else ''}"


def si(value: float, unit: str) -> str:
    """Three digits with an SI prefix, as in 130 MW."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def amounts(q: Quantiles) -> tuple[str, str]:
    """Mean, and the 5 to 95 % range, with suffixes."""
    return amount(q["mean"]), f"{amount(q['p05'])} to {amount(q['p95'])}"


def plain_table(*headers: str) -> Table:
    """A table without lines, numbers to the right."""
    table = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _arrives(figures: dict[str, Any]) -> Table:
    table = plain_table("what arrives", "", "5 to 95 %")
    table.add_row("tokens", *amounts(figures["tokens"]))
    table.add_row("goodput (of the promised speed)", *span(figures["goodput"], ".1%"))
    table.add_row("effective training time", *span(figures["effective_time_share"], ".1%"))
    table.add_row("productive GPU-hours, of those delivered", *span(figures["productive_share_of_gpu_hours"], ".1%"))
    table.add_row("interruptions", *span(figures["interruptions"], ",.0f"))
    table.add_row("hours between them", *span(figures["hours_between_interruptions"], ".2f"))
    if "days_to_tokens" in figures:
        days = figures["days_to_tokens"]
        reached = days["share_reached_within_run"]
        late = "" if reached == 1.0 else f" ({1 - reached:.0%} of runs later than the run: extrapolated)"
        table.add_row(f"days to {amount(days['tokens'])} tokens{late}", *span(days, ".1f"))
    return table


def _lost(figures: dict[str, Any]) -> Table:
    delivered = figures["gpu_hours_total"] - figures["gpu_hours"]["not_arrived"]["mean"]
    table = plain_table("where the GPU-hours went", "", "5 to 95 %", "of delivered")
    rows = sorted(figures["gpu_hours"].items(), key=lambda item: -item[1]["mean"])
    for name, hours in rows:
        if hours["mean"] > 0:
            share = "" if name == "not_arrived" else f"{hours['mean'] / delivered:.2%}"
            table.add_row(BUCKETS[name], *amounts(hours), share)
    return table


def _fleet(figures: dict[str, Any]) -> Table:
    table = plain_table("from day", "GPUs", "spare nodes", "step", "tokens a day", "5 to 95 %", "cold start")
    for phase in figures["phases"]:
        mean, spread = amounts(phase["tokens_per_day"])
        cells = (f"{phase['gpus']:,}", str(phase["spare_nodes"]), duration(phase["step_time_s"]), mean, spread)
        table.add_row(f"{phase['from_day']:g}", *cells, duration(phase["cold_start_s"]))
    return table


def _power(figures: dict[str, Any]) -> Table:
    table = plain_table("from day", "site", "over limit", "step swing", "to smooth it", "stop", "its ramp")
    for phase in figures["phases"]:
        p = phase["power"]
        over = f"[red]{si(p['over_limit_watts'], 'W')}[/red]" if p["over_limit_watts"] else "no"
        smooth = f"{si(p['smoothing_watts'], 'W')}, {si(p['smoothing_mwh'] * 1e6, 'Wh')}"
        site, swing, stop = (si(p[key], "W") for key in ("site_mean_watts", "swing_watts", "stop_watts"))
        table.add_row(f"{phase['from_day']:g}", site, over, swing, smooth, stop, si(p["stop_mwh"] * 1e6, "Wh"))
    return table


def _money(figures: dict[str, Any]) -> Table:
    table = plain_table("energy and money", "", "5 to 95 %")
    energy = figures["energy_mwh"]
    spread = f"{si(energy['p05'] * 1e6, 'Wh')} to {si(energy['p95'] * 1e6, 'Wh')}"
    table.add_row("energy", si(energy["mean"] * 1e6, "Wh"), spread)
    table.add_row("carbon, t CO2", *amounts(figures["carbon_t"]))
    table.add_row("energy bill, USD", *amounts(figures["energy_usd"]))
    included = "energy included" if figures["energy_is_in_rent"] else "with energy"
    table.add_row(f"cost, {included}, USD", *amounts(figures["cost_usd"]))
    table.add_row("cost per hour, USD", *amounts(figures["cost_usd_per_hour"]))
    table.add_row("cost of 1e12 tokens, USD", *amounts(figures["cost_usd_per_1e12_tokens"]))
    return table


def _policies(found: dict[str, Any]) -> Table:
    runs = next(iter(found.values()))["runs"]
    table = plain_table(f"policy, same {runs} runs", "goodput", "5 to 95 %", "tokens", "checkpoint every")
    for name, row in found.items():
        tokens = amount(row["tokens"]["mean"])
        table.add_row(name, *span(row["goodput"], ".1%"), tokens, duration(row["checkpoint_interval_s"]))
    return table


def _best_line(best: dict[str, Any], intervals: dict[str, float]) -> str:
    low, high = best["near_best_interval_s"]
    varied = "".join(f", {best[key]} {key.replace('_', ' ')}" for key in load_policy(best["policy"]).search)
    line = (
        f"Best on the same failures ({best['replicates']} runs): a checkpoint every "
        f"[bold]{duration(best['checkpoint_interval_s'])}[/bold] (within 0.1 % from {duration(low)} to "
        f"{duration(high)}), [bold]{best['spare_nodes']}[/bold] spare nodes{varied}. "
        f"Young says {duration(intervals['young_s'])}, Daly {duration(intervals['daly_s'])}"
    )
    gain = best.get("gain_over_young")
    return line + (f": the best delivers {gain['mean']:+.2%} tokens over Young's." if gain else ".")
