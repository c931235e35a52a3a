"""Community Notes on the screen: tables read, a run's summary, an explanation, parity."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kolossos.cli.show.text import printable, table_console

if TYPE_CHECKING:
    from kolossos.notes.score.explain import Explanation, RuleAnswer
    from kolossos.notes.tables.contradictions import Contradiction
    from kolossos.notes.tables.read import Tables


def print_read(tables: "Tables", found: list["Contradiction"]) -> None:
    """Files with rows and hashes; header differences; contradictions that occur."""
    files = Table("table", "file", "rows", "bytes", "sha256")
    for file in tables.files:
        files.add_row(
            file.table, printable(Path(file.path).name), f"{file.rows:,}", f"{file.bytes:,}", file.sha256[:12]
        )
    console = table_console()
    console.print(files)
    for file in tables.files:
        for label, names in (
            ("older names", [f"{old} (= {new})" for old, new in file.renamed.items()]),
            ("columns not used", list(file.not_used)),
            ("columns absent", list(file.absent)),
        ):
            if names:
                console.print(printable(f"{Path(file.path).name}: {label}: {', '.join(names)}"), markup=False)
    rows = Table("contradiction", "rows", "what is done", "for example")
    for kind in found:
        if kind.rows:
            rows.add_row(kind.name, f"{kind.rows:,}", kind.treatment, printable(kind.example))
    console.print(rows if rows.row_count else "no contradictions")


def print_summary(summary: dict[str, Any], folder: Path) -> None:
    """Statuses, fits and what was written."""
    table = Table("status", "core model", "shown")
    core, final = summary["coreStatuses"], summary["finalStatuses"]
    for status in sorted({*core, *final}):
        table.add_row(status, f"{core.get(status, 0):,}", f"{final.get(status, 0):,}")
    console = table_console()
    console.print(table)
    for name in ("firstFit", "secondFit"):
        fit = summary[name]
        console.print(
            f"{'first' if name == 'firstFit' else 'second'} fit: {fit['ratings']:,} ratings, {fit['notes']:,} notes, "
            f"{fit['raters']:,} raters, loss {fit['loss']:.6f} after {fit['sweeps']} sweeps"
        )
    console.print(
        f"{summary['judgedByCore']:,} of {summary['notes']:,} notes judged by the core model; "
        f"{summary['ratersAboveThreshold']:,} raters above the helpfulness threshold; the Gaussian scorer agrees on "
        f"{summary['gaussianAgreesOnHelpful']:,} of {summary['coreHelpful']:,} Helpful notes"
    )
    if summary["ratingsDropped"]:
        dropped = ", ".join(f"{rows:,} {reason}" for reason, rows in summary["ratingsDropped"].items())
        console.print(f"ratings not used: {dropped}")
    for name, rows in summary["written"].items():
        console.print(printable(f"{folder / name}: {rows:,} rows"), markup=False)


def print_explanation(explanation: "Explanation") -> None:
    """The status, each rule with what it compared, and the nearest changes."""
    console = table_console()
    console.print(
        f"note {explanation.note_id}: shown as {explanation.final_status}; core model says {explanation.core_status}, "
        f"decided by {explanation.decided_by} on {explanation.ratings} ratings"
    )
    if not explanation.judged:
        console.print("fewer than half of its ratings come from core raters: the core model does not speak about it")
    console.print("then: " + ", ".join(explanation.meta_rules))
    table = Table("rule", "acted", "compared")
    for rule in explanation.rules:
        table.add_row(rule.name, "yes" if rule.acted else "no", _compared(rule))
    console.print(table)
    for change in explanation.changes:
        console.print(f"{change.column} at {change.needed:.6g} instead of {change.now:.6g}, alone: {change.status}")


def _compared(rule: "RuleAnswer") -> str:
    if not rule.allowed:
        return f"only notes {rule.standing}"
    parts = []
    for test in rule.tests:
        value = "missing" if test.value is None else f"{test.value:.6g}"
        limit = "missing" if test.limit is None else f"{test.limit:.6g}"
        parts.append(f"{test.column} {value} {test.sign} {limit}{'' if test.holds else ' (no)'}")
    return "; ".join(parts)


def print_parity(report: dict[str, Any]) -> None:
    """Each claim of each set, and the figures behind it in short."""
    table = Table(
        "set", "fit: loss above minimum", "closed form", "rules", "chain", "by official steps", "other seeds", "claims"
    )
    for one in report["sets"]:
        a, b, c = (one["layers"][k] for k in "abc")
        table.add_row(
            one["name"],
            "-" if not a else f"{a['lossAboveConverged']:.1e}",
            "-" if not b else f"{b.get('largestInterceptDifferenceToClosedForm', float('nan')):.1e}",
            "-" if not b else f"{b['rulesOnOfficialIntercepts']['statuses']:.4f}",
            "-" if not c else f"{c['statuses']:.4f}",
            "-" if not c else f"{one['layers']['cByOfficialSteps']['statuses']:.4f}",
            "-" if not c else ", ".join(f"{v:.4f}" for v in c["otherSeedsStatuses"].values()) or "-",
            "all hold" if all(one["claims"].values()) else "not all",
        )
    console = table_console()
    console.print(table)
    for one in report["sets"]:
        for claim, holds in one["claims"].items():
            if not holds:
                console.print(f"does not hold: {one['name']}: {claim}", markup=False)


def print_proposals(made: list[dict[str, Any]], refused: list[str]) -> None:
    """What was proposed, on which score; what could not be."""
    table = Table("market", "outcome", "status by the scorer", "intercept", "above the threshold by")
    for event in made:
        stated = event["proposal"]["evidence"]
        micro = (stated["intercept_micro"], stated["margin_micro"])
        figures = ["-" if value is None else f"{value / 1e6:.4f}" for value in micro]
        table.add_row(event["market"], str(event["proposal"]["outcome"]), stated["status"], *figures)
    console = table_console()
    console.print(table if made else "no open market has a question that these tables answer")
    for line in refused:
        console.print(f"refused: {printable(line)}", markup=False)
