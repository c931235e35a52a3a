"""The report in words and tables: sections that Markdown and HTML both render."""

from dataclasses import dataclass, field

from kolossos.report.compute import Compute
from kolossos.report.laws import LawTable, Standing
from kolossos.report.subject import Figure, Subject
from kolossos.runs.goodput import Goodput
from kolossos.runs.step_times import QUANTILES, StepTimes, slowest, together
from kolossos.specs.counts import count_parameters

NO_ADVICE = (
    "This document is no legal advice. It compares numbers with published lines; whether a law applies to a developer "
    "is for a lawyer to say."
)
RANKS_SHOWN = 16
HOURS_PER_JOULE = 1 / 3.6e6


@dataclass
class Section:
    """A heading, paragraphs, at most one table, and bullet points after it."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)


def make_sections(
    subject: Subject, compute: Compute, standings: list[Standing], table: LawTable, revenue_usd: float | None
) -> list[Section]:
    """The whole report, in order."""
    return [
        _summary(subject, compute, standings),
        _model(subject),
        _compute(subject, compute),
        _resources(subject, compute),
        *([_wall_time(subject.goodput)] if subject.goodput else []),
        *([_steps(subject.step_times)] if subject.step_times else []),
        Section("Hardware", header=["what", "value"], rows=[list(row) for row in subject.hardware]),
        Section("Data", header=["what", "value"], rows=[list(row) for row in subject.data]),
        _lines(standings, table, revenue_usd),
        _duties(standings, revenue_usd),
        _appendix(standings, table),
    ]


def _summary(subject: Subject, compute: Compute, standings: list[Standing]) -> Section:
    crossed = [s for s in standings if s.crosses and s.law.is_law]
    ahead = [s for s in standings if not s.crosses and s.law.is_law]
    nearest = min(ahead, key=lambda s: s.law.flops_threshold) if ahead else None
    points = [f"{s.law.name}: {s.position} ({ratio_text(s.ratio)})" for s in crossed]
    if nearest:
        points.append(
            f"Next line ahead: {nearest.law.name}, {flops_text(nearest.law.flops_threshold)}: this "
            f"{subject.kind} is at {ratio_text(nearest.ratio)}"
        )
    return Section(
        "In short",
        [
            NO_ADVICE,
            f"{subject.kind.capitalize()} '{subject.name}' ({subject.path}); {subject.state}.",
            f"Training compute: {flops_text(compute.counted)} (counted), {figure_text(subject.energy)}, "
            f"{figure_text(subject.cost)}.",
        ],
        points=points,
    )


def _wall_time(goodput: Goodput) -> Section:
    rows = [
        [name.replace("_", " "), f"{s:,.1f}", f"{s / goodput.wall_s:.1%}"] for name, s in goodput.parts.items() if s
    ]
    rows.append(["all", f"{sum(goodput.parts.values()):,.1f}", "100.0%"])
    told = (
        f"{goodput.wall_s:,.1f} s of wall time; attempts: {goodput.attempts:,} (each start, and each rollback, begins "
        f"one); {goodput.steps_redone:,} steps done again; {goodput.share:.1%} of it computed what was kept."
    )
    return Section("Where the time went", [told], ["part", "seconds", "share"], rows)


def _steps(ranks: list[StepTimes]) -> Section:
    """Percentiles of all ranks together and of the slowest; milliseconds."""
    named = [("all", together(ranks))] + [(f"{one.rank} on {one.host}", one) for one in slowest(ranks, RANKS_SHOWN)]
    rows = [
        [name, part.replace("_", " "), *(f"{1e3 * value:,.3g}" for value in of_part.values())]
        for name, times in named
        for part, of_part in times.percentiles().items()
    ]
    told = (
        f"Milliseconds of {named[0][1].steps:,} steps of {len(ranks):,} ranks, with those that were done again; of a "
        f"checkpoint what it stops training for."
    )
    if len(ranks) > RANKS_SHOWN:
        told += f" Shown are the {RANKS_SHOWN} ranks with the longest p95."
    return Section("Steps by rank", [told], ["rank", "part", *QUANTILES], rows)


def _model(subject: Subject) -> Section:
    model, count = subject.model, count_parameters(subject.model)
    experts = f"{model.moe.top_k} of {model.moe.n_experts}" if model.moe else "none"
    rows = [
        ["architecture", model.name],
        ["parameters", f"{count.total:,}"],
        ["active parameters for a token", f"{count.active:,}"],
        ["layers, width, experts", f"{model.n_layers}, {model.dim:,}, {experts}"],
        ["sequence length in training", f"{subject.seq_len:,} tokens"],
        ["precision of products, recompute", f"{subject.precision}, {subject.recompute}"],
    ]
    return Section("Model", header=["what", "value"], rows=rows)


def _compute(subject: Subject, compute: Compute) -> Section:
    rows = [
        [
            "counted: 6 x matmul weights + attention, no recompute",
            flops_text(compute.counted),
            "held against the lines",
        ],
        ["of it, 6 x matmul weights x tokens", flops_text(compute.products), "Kaplan et al., arXiv:2001.08361, 2.1"],
        ["of it, attention (causal)", flops_text(compute.attention), f"at {subject.seq_len:,} tokens"],
        ["6ND rule, N = active parameters", flops_text(compute.rule_6nd), "for comparison; leaves attention out"],
        [
            f"executed: counted + recompute ({subject.recompute})",
            flops_text(compute.executed),
            "the widest count; also held against the lines",
        ],
    ]
    if compute.given is not None:
        rows.append(
            ["as the input file states", flops_text(compute.given), f"{compute.given_over_counted or 0:.3f} of ours"]
        )
    if compute.intended > compute.counted:
        rows.append(
            ["counted, at the end as intended", flops_text(compute.intended), f"{subject.tokens_intended:,.0f} tokens"]
        )
    paragraphs = [
        f"{compute.tokens:,.0f} tokens x {flops_text(compute.per_token)} a token. The laws speak of cumulative "
        "training compute: add every other stage of the same model (fine-tuning, reinforcement learning, earlier runs, "
        "making of synthetic data) by hand; this file knows of one stage. Whether recomputed activations count is not "
        "settled in the texts opened, so both counts are held against each line.",
        *subject.remarks,
    ]
    over = compute.given_over_counted
    if over is not None and abs(over - 1) > 0.01:
        paragraphs.append(
            f"The input's own figure is {over:.3f} times ours: it may count attention, the embedding or recompute "
            "otherwise. The lines below use ours."
        )
    return Section("Compute", paragraphs, ["method", "FLOPs", "remark"], rows)


def _resources(subject: Subject, compute: Compute) -> Section:
    rows = [
        [name, figure_text(figure), figure.how, figure.note]
        for name, figure in (
            ("time", subject.seconds),
            ("energy", subject.energy),
            ("carbon", subject.carbon),
            ("cost", subject.cost),
        )
    ]
    if subject.seconds.value:
        rate = compute.counted / subject.seconds.value
        each = f"; {rate / subject.n_gpus:.3g} a GPU" if subject.n_gpus else ""
        rows.append(["rate", f"{rate:.3g} FLOP/s", "derived", f"counted FLOPs over the time{each}"])
    return Section("Time, energy and cost", header=["what", "value", "how known", "note"], rows=rows)


def _lines(standings: list[Standing], table: LawTable, revenue_usd: float | None) -> Section:
    revenue = "not given" if revenue_usd is None else f"{money_text(revenue_usd)} a year"
    rows = []
    for s in standings:
        more = ""
        if s.law.revenue_threshold_usd:
            word = {None: "revenue not given", True: "above", False: "not above"}[s.large]
            more = f"large if revenue > {money_text(s.law.revenue_threshold_usd)}: {word}"
        if s.law.cost_threshold_usd:
            word = {None: "cost not known", True: "above", False: "not above"}[s.above_cost]
            more = f"and cost > {money_text(s.law.cost_threshold_usd)}: {word}"
        line = f"{'>=' if s.law.at_least else '>'} {flops_text(s.law.flops_threshold)}"
        rows.append(
            [s.law.name, s.law.status, line, s.position, ratio_text(s.ratio), tokens_text(s.tokens_to_line), more]
        )
    return Section(
        "Lines of the law",
        [f"State of the laws as of {table.as_of} ({table.as_of_note}). Revenue of the developer: {revenue}."],
        ["line", "status", "FLOPs", "this one", "distance", "tokens to go", "second test"],
        rows,
    )


def _duties(standings: list[Standing], revenue_usd: float | None) -> Section:
    section = Section("What the developer would owe", header=["line", "duty", "by when", "for whom"])
    for s in standings:
        for duty in s.owed:
            section.rows.append(
                [s.law.name, duty.what, duty.deadline, "large developers" if duty.large_only else "all"]
            )
        for duty in s.owed_if_large:
            section.rows.append([s.law.name, duty.what, duty.deadline, "large developers: revenue not given"])
    if not section.rows:
        section.header = []
        section.paragraphs.append(
            "By its compute, nothing under the lines listed here. Other duties (copyright, privacy, use of the model) "
            "do not hang on compute and are not looked at."
        )
    else:
        section.points = [f"Penalty, {s.law.name}: {s.law.penalty}" for s in standings if s.owed or s.owed_if_large]
        section.paragraphs.append(
            "If the developer is in scope of the law (see the appendix). Laws that were vetoed or revoked ask nothing; "
            "those that passed or start later ask from their date."
        )
        if revenue_usd is None and any(s.owed_if_large for s in standings):
            section.paragraphs.append("With the developer's yearly revenue the rows for large developers are settled.")
    return section


def _appendix(standings: list[Standing], table: LawTable) -> Section:
    rows = [
        [
            f"{s.law.name}, {s.law.place}",
            f"{s.law.status}: {s.law.status_detail}",
            f"{s.law.counts}. Who: {s.law.scope}",
            f"{s.law.penalty}. Source: {s.law.source} [{s.law.grade}]",
        ]
        for s in standings
    ]
    return Section(
        "Appendix: each law, its state and source",
        [
            f"As of {table.as_of}. Grades: P text of the law opened, A official page, S secondary notes only.",
            NO_ADVICE,
        ],
        ["law", "state", "what counts, and who", "penalty, and source [grade]"],
        rows,
    )


def flops_text(value: float) -> str:
    """``3.800e+25 FLOPs``, the exponent as it is printed in laws."""
    return f"{value:.3e}".replace("e+", "e") + " FLOPs"


def ratio_text(ratio: float) -> str:
    """How far a run is from a line: ``0.04 of it``, ``1/2.9e9 of it``, ``3.8 times it``."""
    if ratio >= 1:
        return f"{ratio:,.3g} times it"
    return f"{ratio:.3g} of it" if ratio >= 0.01 else f"1/{1 / ratio:.2g} of it".replace("e+", "e")


def tokens_text(tokens: float) -> str:
    """Tokens in the unit that reads best."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if tokens >= size:
            return f"{tokens / size:,.3g} {unit}" if tokens < 1e15 else f"{tokens:.2g}".replace("e+", "e")
    return f"{tokens:,.0f}" if tokens else "none"


def money_text(usd: float) -> str:
    """USD in the unit that reads best."""
    for size, unit in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if usd >= size:
            return f"{usd / size:,.4g}{unit} USD"
    return f"{usd:,.2g} USD"


def figure_text(figure: Figure) -> str:
    """A figure in a unit that reads best, with its bounds, and the word estimate where it is one."""
    if figure.value is None:
        return f"{'energy' if figure.unit == 'J' else 'value'} not known"
    scale, unit = _unit(figure)
    text = money_text(figure.value) if figure.unit == "USD" else f"{figure.value * scale:,.4g} {unit}"
    if figure.low is not None and figure.high is not None:
        text += (
            f" ({figure.low * scale:,.3g} to {figure.high * scale:,.3g}{' ' + unit if figure.unit == 'USD' else ''})"
        )
    return f"{text}, estimated" if figure.how == "estimated" else text


def _unit(figure: Figure) -> tuple[float, str]:
    value = figure.value or 0.0
    if figure.unit == "J":
        kwh = value * HOURS_PER_JOULE
        for size, unit in ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh")):
            if kwh >= size:
                return HOURS_PER_JOULE / size, unit
        return HOURS_PER_JOULE * 1e3, "Wh"
    if figure.unit == "s":
        for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
            if value >= size:
                return 1 / size, unit
        return 1.0, "s"
    if figure.unit == "kg CO2e":
        for size, unit in ((1e6, "kt CO2e"), (1e3, "t CO2e"), (1.0, "kg CO2e")):
            if value >= size:
                return 1 / size, unit
        return 1e3, "g CO2e"
    return 1.0, figure.unit
