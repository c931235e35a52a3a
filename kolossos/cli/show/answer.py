"""Answers, claims and measurements on the screen."""

import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kolossos.cli.show.text import printable, table_console

if TYPE_CHECKING:
    from rich.console import Console

    from kolossos.ground.answer.answer import Answer, Quotation
    from kolossos.ground.check.claims import Claim

COLOURS = {"supported": "green", "contradicted": "red", "not found": "yellow"}
STANCES = {"supported": "+", "contradicted": "!", "not found": "-"}
ABOUT = {"numbers": "another number", "dates": "another date", "negation": "the contrary"}
SHOWN_NOTE = 280  # characters
EVERY_S = 0.5


def print_answer(answer: "Answer", json: bool) -> None:
    """The quotations with their sources, what contradicts them, and how sure it is."""
    if json:
        _print_json(answer.to_json())
        return
    console = _console()
    if not answer.found:
        _line(console, "not found in these sources", "bold yellow")
    for number, quotation in enumerate(answer.quotations, 1):
        _print_quotation(console, f"[{number}]", quotation)
    for conflict in answer.conflicts:
        _line(console, f"Another source says {ABOUT[conflict.about]}:", "bold red")
        _print_quotation(console, "[!]", conflict.quotation)
    if answer.nearest:
        _line(console, "Nearest:", "bold")
    for quotation in answer.nearest:
        _print_quotation(console, "-", quotation)
    sure = f"An answer is in the sources with probability {answer.support:.2f}"
    if not answer.found:
        sure += f" (needed: {answer.least:g})"
    elif answer.right is not None:
        sure += f", the first quotation holds it with {answer.right:.2f}"
    _line(console, f"{sure}; chosen by {_by(answer.by)}.", "dim")
    for remark in answer.remarks:
        _line(console, remark, "dim")
    if answer.left_out:
        passages = "passage" if answer.left_out == 1 else "passages"
        why = "gave orders to whoever answers, or repeated the question"
        _line(console, f"Left out: {answer.left_out} {passages} that {why}.", "dim")


def print_claims(claims: "list[Claim]", remarks: tuple[str, ...], json: bool) -> None:
    """Each claim with its verdict and quotations."""
    if json:
        _print_json({"claims": [claim.to_json() for claim in claims], "remarks": list(remarks)})
        return
    console = _console()
    for claim in claims:
        chance = max(claim.probabilities)
        _line(
            console, f"{claim.verdict} ({chance:.2f}): {' '.join(claim.text.split())}", f"bold {COLOURS[claim.verdict]}"
        )
        for quotation, stance in zip(claim.quotations, claim.stances, strict=True):
            _print_quotation(console, STANCES[stance], quotation)
    counts = [f"{sum(c.verdict == verdict for c in claims)} {verdict}" for verdict in COLOURS]
    _line(console, ", ".join(counts), "dim")
    for remark in remarks:
        _line(console, remark, "dim")


def print_measured(measured: dict[str, Any], out: Path, json: bool) -> None:
    """The figures of a measurement, and where its report is."""
    if json:
        _print_json(measured)
        return
    from rich.table import Table

    table = Table("", *(printable(name) for name in measured["figures"]))
    for name, title in measured["titles"].items():
        table.add_row(title, *(_figure(figures[name]) for figures in measured["figures"].values()))
    table_console().print(table)
    typer.echo(f"written: {printable(str(out / 'report.html'))}, report.md, report.json and plots")


class Progress:
    """How far a measurement is: one line on stderr, on a terminal written over itself."""

    def __enter__(self) -> "Progress":
        self._last = 0.0
        return self

    def told(self, done: int, all_: int) -> None:
        """Another question was asked."""
        now = time.monotonic()
        if sys.stderr.isatty() and (now - self._last > EVERY_S or done == all_):
            self._last = now
            print(f"\r\x1b[K{done:,} of {all_:,} questions", end="", file=sys.stderr, flush=True)

    def __exit__(self, *raised: object) -> None:
        if sys.stderr.isatty():
            print(file=sys.stderr, flush=True)


def _print_quotation(console: "Console", mark: str, quotation: "Quotation") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from kolossos.ground.answer.answer import HELPFUL

    source = quotation.source
    text = Text(f"{mark} ", style="bold")
    text.append(printable(" ".join(quotation.text.split())))
    console.print(text)
    author = f"@{source.author.removeprefix('@')}" if source.kind == "post" and source.author else source.author
    date = source.date.strftime("%Y-%m-%d") if source.date else "no date"
    rated = ["rated helpful"] if source.kind == "note" and any(n.status == HELPFUL for n in source.notes) else []
    about = [" ".join(source.title.split()), author, source.kind, *rated, date, source.address or source.key]
    place = f"{', '.join(part for part in about if part)}, characters {quotation.start:,}-{quotation.end:,}"
    console.print(Padding(Text(printable(place), style="cyan"), (0, 0, 0, 4)))
    for note in quotation.notes:
        said = textwrap.shorten(" ".join(note.text.split()), SHOWN_NOTE, placeholder=" ...")
        console.print(Padding(Text(printable(f"Note rated helpful: {said}"), style="green"), (0, 0, 0, 4)))


def _by(by: str) -> str:
    return "rules" if by == "quoting" else printable(by)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def _line(console: "Console", text: str, style: str) -> None:
    from rich.text import Text

    console.print(Text(printable(text), style=style))


def _print_json(found: Any) -> None:
    from json import dumps

    typer.echo(dumps(found, ensure_ascii=False, indent=1))


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else "-" if value != value else f"{value:.3f}"
