"""A plan on the terminal."""

from json import dumps

import numpy as np
from rich.console import Console
from rich.table import Table

from kolossos.cli.show.text import table_console
from kolossos.plan.answer.bill import mixed_bill
from kolossos.plan.answer.calibrate_on import Calibration
from kolossos.plan.answer.explain import Purchase, binding_limits, deciding_terms
from kolossos.plan.answer.one_kind import GIB, Answer, RunnerUp
from kolossos.plan.answer.record import origin
from kolossos.plan.job import Job, default_batch_tokens
from kolossos.plan.mixed.ways import Mixed, mixed_mfu
from kolossos.plan.published.interval import step_interval
from kolossos.plan.rates.software import load_software
from kolossos.plan.rules.check import describe
from kolossos.plan.search.prices import Choice
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.counts import count_parameters
from kolossos.specs.draw import power_known
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

FRONT_SHOWN = 8
ROWS_SHOWN = 5
WORTH_SAYING = 0.01
JOULES_PER_MWH = 3.6e9


def show_answer(answer: Answer, bought: list[Purchase], why: bool) -> None:
    """Everything about one plan."""
    console = table_console()
    layout = answer.priced.layout
    console.print(f"[bold]{answer.job.model.name}[/bold] on {answer.cluster.name}: {_gpus(answer)}")
    console.print(_model(answer.job.model))
    console.print(_links(answer.job), style="dim")
    if answer.job.seq_len > answer.job.model.max_seq_len:
        console.print(_longer(answer.job))
    console.print(f"layout: {full_layout(layout)}")
    console.print(_figures(answer))
    if not answer.fits:
        console.print(_does_not_fit(answer))
    for table, note in (_parts(answer), _memory(answer)):
        console.print(table)
        console.print(note, style="dim")
    if answer.runner_ups:
        console.print(_runner_ups(answer))
    if answer.found:
        console.print(_front(answer))
        found = answer.found
        counts = f"{found.priced:,} layouts priced in {found.seconds:.1f} s; {found.fitting:,} of them fit in memory"
        console.print(counts, style="dim")
    if why:
        _show_why(console, answer, bought)
    if answer.calibration:
        console.print(_calibrated(answer.calibration, answer.narrowing))
    console.print(_assumed(answer))


def _calibrated(calibration: Calibration, narrowing: float) -> str:
    """What the measured steps changed: as many words as there are coefficients that moved by a percent or more."""
    off = [f"{before:+.1%} to {after:+.1%}" for before, after in np.expm1(calibration.errors)]
    shown = ", ".join(off[:ROWS_SHOWN]) + (", ..." if len(off) > ROWS_SHOWN else "")
    moved = sorted(calibration.shifts.items(), key=lambda item: -abs(item[1]))
    said = ", ".join(
        f"{kind} {name.replace('_', ' ')} {np.exp(log) - 1:+.0%}"
        for (kind, name), log in moved
        if abs(log) >= WORTH_SAYING
    )
    return (
        f"Calibrated on {len(off)} measured step{'s' * (len(off) > 1)}: predictions of them were off by {shown}; "
        f"moved: {said or 'nothing by a percent'}; the interval is {narrowing:.2f} of what it would be without."
    )


def _model(model: ModelSpec) -> str:
    """What was read of the model, and in the same line what is not priced."""
    count = count_parameters(model)
    active = f", {_short(count.active)} active" if model.moe else ""
    left_out = f"; not priced: {', '.join(model.not_priced)}" if model.not_priced else ""
    return f"{_short(count.total)} parameters{active}{left_out}"


def _short(number: int) -> str:
    return f"{number / 1e9:,.2f} B" if number >= 1e9 else f"{number / 1e6:,.1f} M"


def _does_not_fit(answer: Answer) -> str:
    need, job = answer.priced.choice.memory_bytes, answer.job
    missing, margin = (need - job.usable_bytes) / GIB, f"{100 * job.memory_margin:g} %"
    why = "too much for the card" if need > job.gpu.memory_bytes else f"of the {margin} that are to stay free"
    return f"[bold red]Does not fit[/bold red]: {missing:.1f} GiB {why}, on each GPU of the fullest stage"


def _longer(job: Job) -> str:
    usual = f"the {job.model.max_seq_len:,} of the model"
    return f"[bold]{job.seq_len:,} tokens[/bold] are more than {usual}: its positions must be stretched"


def _links(job: Job) -> str:
    """The links as they were understood, in the units that they are sold in: where files are most often wrong."""
    nic, nvlink = job.fabric.nic_bytes_per_s, job.gpu.nvlink_bytes_per_s
    said = f"links, one way: {nvlink / 1e9:,.0f} GB/s a GPU in domains of {job.nvlink_domain}"
    if job.n_gpus <= job.nvlink_domain:
        return said
    return f"{said}, {nic / 1e9:,.4g} GB/s ({nic * 8e-9:,.4g} Gb/s) a GPU between them over {job.fabric.kind}"


def print_json(record: dict[str, object]) -> None:
    """A plan for programs."""
    print(dumps(record, indent=1))


def full_layout(layout: Layout) -> str:
    """One line with everything."""
    return (
        f"{describe(layout)} global_batch_size={layout.global_batch_size} seq_len={layout.seq_len} "
        f"recompute={layout.recompute} precision={layout.precision} schedule={layout.schedule} "
        f"sharding={layout.sharding}"
    )


def _gpus(answer: Answer) -> str:
    used, there = answer.priced.layout.world_size, answer.job.n_gpus
    idle = f", {there - used:,} stay idle" if used < there else ""
    return f"{used:,} of {there:,} {answer.job.gpu.name}{idle}"


def _table(*columns: str, title: str) -> Table:
    table = Table(*columns, box=None, padding=(0, 1), title=title, title_justify="left", title_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _figures(answer: Answer) -> Table:
    """The figures, each with its interval."""
    priced, bill, bounds = answer.priced, answer.bill, answer.intervals
    table = _table("", "estimate", "90 % interval", title=f"{answer.tokens:,.3g} tokens")

    def add(name: str, value: str, key: str | None = None, scale: float = 1.0, form: str = ",.2f") -> None:
        low, high = bounds[key] if key else (0.0, 0.0)
        table.add_row(name, value, f"{low * scale:{form}} to {high * scale:{form}}" if key else "")

    add("step, s", f"{priced.step_time_s:,.3f}", "step_time_s", form=",.3f")
    if answer.played:
        table.add_row("the same, played event by event", f"{answer.played.step_s:,.3f}", "")
    rate = priced.tokens_per_step / priced.step_time_s
    add("tokens/s", f"{rate:,.0f}", "tokens_per_s", form=",.0f")
    add(f"MFU ({priced.layout.precision} peak), %", f"{priced.mfu * 100:.1f}", "mfu", 100, ".1f")
    add("memory a GPU, GiB", f"{priced.choice.memory_bytes / GIB:.1f}", "memory_bytes", 1 / GIB, ".1f")
    margin = f"{100 * answer.job.memory_margin:g} % of {answer.job.gpu.memory_bytes / GIB:.1f} are to stay free"
    table.add_row("it fits, %", f"{100 * answer.fit_probability:.0f}", margin)
    add("days", f"{bill.days:,.2f}", "days")
    add("rent, USD", f"{bill.rent_usd:,.0f}", "cost_usd", form=",.0f")
    if "energy_joules" not in bounds:
        table.add_row("energy", "not known", "the hardware file does not say what the card draws")
        return table
    add("energy, MWh", f"{bill.energy_joules / JOULES_PER_MWH:,.1f}", "energy_joules", 1 / JOULES_PER_MWH, ",.1f")
    table.add_row("energy at its price, USD", f"{bill.energy_usd:,.0f}", "")
    table.add_row("CO2, t", f"{bill.co2_kg / 1e3:,.0f}", "")
    limit = f"limit {bill.site_limit_watts / 1e6:,.1f}" if bill.site_limit_watts else ""
    broken = f", [red]over by {bill.over_limit_watts / 1e6:,.1f}[/red]" if bill.over_limit_watts else ""
    table.add_row("power of the site, MW", f"{bill.site_watts / 1e6:,.1f}", limit + broken)
    return table


def _parts(answer: Answer) -> tuple[Table, str]:
    table = _table("part of the step", "s", "%", title="Where the step goes")
    step = answer.priced.step_time_s
    for part, seconds in answer.priced.parts.items():
        if seconds / step >= 0.0005:
            table.add_row(part.replace("_", " "), f"{seconds:.4f}", f"{100 * seconds / step:.1f}")
    hidden = {part: seconds for part, seconds in answer.priced.hidden.items() if seconds > 0}
    said = ", ".join(f"{part.removesuffix('_hidden')} {seconds:.3f} s" for part, seconds in hidden.items())
    return table, f"hidden behind computation: {said or 'nothing'}"


def _memory(answer: Answer) -> tuple[Table, str]:
    table = _table(
        "stage", "layers", "weights and states", "activations", "buffers, runtime", "total, GiB", title="Memory"
    )
    stages = answer.stages
    for stage in stages if len(stages) <= 4 else [*stages[:2], stages[-1]]:
        values = (stage.states, stage.activations, stage.other, stage.total)
        table.add_row(f"{stage.stage + 1} of {len(stages)}", str(stage.layers), *(f"{v / GIB:.1f}" for v in values))
    parts = ", ".join(f"{n} {b / GIB:.1f}" for n, b in answer.priced.memory_parts.items() if b > 0)
    return table, f"of {answer.job.gpu.memory_bytes / GIB:.1f} GiB on the fullest stage: {parts}"


def _runner_ups(answer: Answer) -> Table:
    table = _table("instead", "slower, %", "it loses by, s a step", title="Runners-up: the best with another value")
    table.columns[2].justify = "left"
    for rival in answer.runner_ups:
        table.add_row(_differs(rival), f"{100 * rival.slower:.1f}", _losses(rival))
    return table


def _differs(rival: RunnerUp) -> str:
    return " ".join(f"{name}={value}" for name, value in rival.differs.items())


def _losses(rival: RunnerUp) -> str:
    if rival.slower < 5e-4:
        return "nothing: as fast"
    return ", ".join(f"{part.replace('_', ' ')} {seconds:+.3f}" for part, seconds in rival.losses)


def _front(answer: Answer) -> Table:
    found = answer.found
    assert found is not None
    table = _table("GPUs", "days", "rent, USD", "MWh", "layout", title=f"Pareto front ({len(found.front)} layouts)")
    table.columns[4].justify = "left"
    every = max(1, -(-len(found.front) // FRONT_SHOWN))
    for choice in found.front[::every]:
        table.add_row(*_choice(choice, answer.tokens, power_known(answer.job.gpu)))
    return table


def _choice(choice: Choice, tokens: float, known: bool) -> tuple[str, ...]:
    return (
        f"{choice.n_gpus:,}",
        f"{choice.seconds_per_token * tokens / 86_400:,.2f}",
        f"{choice.usd_per_token * tokens:,.0f}",
        f"{choice.joules_per_token * tokens / JOULES_PER_MWH:,.1f}" if known else "-",
        f"{describe(choice.layout)} {choice.layout.recompute} {choice.layout.precision}",
    )


def _show_why(console: Console, answer: Answer, bought: list[Purchase]) -> None:
    terms = ", ".join(f"{part.replace('_', ' ')} {100 * share:.0f} %" for part, share in deciding_terms(answer))
    console.print(f"[bold]Why[/bold]: {terms} of the step.")
    for limit in binding_limits(answer):
        console.print(f"  {limit}")
    table = _table("what the next euro buys", "faster, %", "dearer, %", "faster / dearer", "", title="")
    table.columns[4].justify = "left"
    for purchase in bought:
        values = (100 * purchase.gain, 100 * purchase.extra_cost, purchase.gain_per_cost)
        table.add_row(purchase.name, f"{values[0]:.1f}", f"{values[1]:.1f}", f"{values[2]:.2f}", purchase.source)
    console.print(table)


def _assumed(answer: Answer) -> str:
    job = answer.job
    default, source = default_batch_tokens(job.model)
    batch = f"batch of about {job.batch * job.seq_len:,.0f} tokens"
    if abs(default / job.seq_len - job.batch) < 1 and job.batch_slack:
        batch += f" {source}"
    said = (
        f"All figures are estimates: software {job.software}, {batch}, balanced experts, no failures, "
        f"{job.usd_per_gpu_hour:.2f} USD a GPU-hour, interval {origin(answer.priced.layout.world_size)}."
    )
    schedule = answer.priced.layout.schedule
    if schedule not in load_software().named(job.software).schedules:
        return f"{job.software} has no {schedule} schedule (--any-schedule, or --layout, asked for it). {said}"
    return said


def show_mixed(jobs: list[Job], cluster: ClusterSpec, mixed: Mixed, tokens: float) -> None:
    """A plan over several kinds of GPU."""
    console, best = table_console(), mixed.best
    assert best is not None
    paid = mixed_bill(jobs, best, tokens)
    low, high = (bound / best.step_time_s for bound in step_interval(best.step_time_s, jobs[0].measured_software))
    kinds = ", ".join(f"{job.n_gpus:,} {job.gpu.name}" for job in jobs)
    console.print(f"[bold]{jobs[0].model.name}[/bold] on {cluster.name} ({kinds}): best by {best.how}")
    console.print(_model(jobs[0].model))
    table = _table("split", "GPUs", "step, s", "days", "faster than the last, %", title=f"{tokens:,.3g} tokens")
    slowest = max(plan.seconds_per_token for plan in mixed.plans)
    for plan in mixed.plans:
        name = plan.how if plan.synchronous else f"{plan.how} (another algorithm: they meet seldom)"
        faster = 100 * (slowest / plan.seconds_per_token - 1)
        days = plan.seconds_per_token * tokens / 86_400
        table.add_row(name, f"{plan.n_gpus:,}", f"{plan.step_time_s:.3f}", f"{days:,.2f}", f"{faster:.1f}")
    console.print(table)
    parts = _table("kind", "GPUs", "share of the work, %", "step alone, s", "busy, %", "GiB", "layout", title=best.how)
    parts.columns[6].justify = "left"
    for part in best.contributions:
        layers = f" layers {'+'.join(map(str, part.layers))}" if part.layers else ""
        numbers = (f"{100 * part.share_of_tokens:.1f}", f"{part.step_time_s:.3f}", f"{100 * part.busy_share:.0f}")
        memory = f"{part.memory_bytes / GIB:.0f} of {part.memory_of / GIB:.0f}"
        parts.add_row(part.gpu, f"{part.n_gpus:,}", *numbers, memory, full_layout(part.layout) + layers)
    console.print(parts)
    mfu = mixed_mfu(jobs, best)
    limit = f" (limit {paid.site_limit_watts / 1e6:,.0f})" if paid.site_limit_watts else ""
    console.print(
        f"{paid.days:,.2f} days ({paid.days * low:,.2f} to {paid.days * high:,.2f}), "
        f"{paid.rent_usd:,.0f} USD of rent, {paid.energy_joules / JOULES_PER_MWH:,.0f} MWh, "
        f"{paid.site_watts / 1e6:,.1f} MW at the site{limit}, MFU {100 * mfu:.1f} %"
    )
    console.print(
        f"All figures are estimates: software {jobs[0].software}, batch of about "
        f"{jobs[0].batch * jobs[0].seq_len:,.0f} tokens, balanced experts, no failures, "
        f"interval {origin(best.n_gpus)}."
    )
