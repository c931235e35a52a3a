"""Results of a search on the screen, and how far an index is."""

import sys
import textwrap
import time
from typing import TYPE_CHECKING

import typer

from kolossos.cli.show.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from kolossos.ground.fill import Filled
    from kolossos.ground.results import Result
    from kolossos.ground.source import Note
    from kolossos.ground.store import Counts

SHOWN_NOTES = 2
EVERY_S = 0.2


class AcknowledgedLine:
    """One line on stderr that says what is on the disk for good; on a terminal it is written over itself."""

    def __enter__(self) -> "AcknowledgedLine":
        self._started = time.monotonic()
        return self

    def told(self, source: str, counts: "Counts") -> None:
        """Another batch is acknowledged."""
        total = counts.added + counts.changed + counts.unchanged
        rate = total / max(time.monotonic() - self._started, 1e-3)
        line = printable(f"{source}: {total:,} acknowledged ({counts.added:,} new, {rate:,.0f}/s)")
        if sys.stderr.isatty():
            line = f"\r\x1b[K{line}"
        print(line, end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)

    def __exit__(self, *raised: object) -> None:
        if sys.stderr.isatty():
            print(file=sys.stderr, flush=True)


def print_filled(out: str, filled: "Filled", json: bool) -> None:
    """What a run did, as JSON or in a line or two."""
    if json:
        from dataclasses import asdict
        from json import dumps

        typer.echo(dumps(asdict(filled.counts) | {"left_out": dict(sorted(filled.left_out.items()))}, indent=1))
        return
    counts = filled.counts
    typer.echo(
        f"{printable(out)}: {counts.added:,} new, {counts.changed:,} changed, {counts.unchanged:,} as before, "
        f"{counts.removed:,} removed"
    )
    if filled.left_out:
        listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(filled.left_out.items()))
        typer.echo(f"left out: {printable(listed)}")


def print_results(results: "list[Result]") -> None:
    """Results on stdout, as wide as the terminal; what matched stands out, without colours between asterisks."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    if not results:
        typer.echo("nothing found", err=True)
    for rank, result in enumerate(results, start=1):
        if rank > 1:
            console.print()
        _print_result(console, rank, result)


def _print_result(console: "Console", rank: int, result: "Result") -> None:
    from rich.padding import Padding
    from rich.text import Text

    source = result.hit.passage.source
    facts = [f"@{source.author}" if source.kind == "post" and source.author else source.author, source.kind]
    facts += [source.date.strftime("%Y-%m-%d")] if source.date else []
    head = Text(f"{rank}. ", style="bold")
    if source.title:
        head.append(printable(" ".join(source.title.split())) + "  ", style="bold")
    head.append(printable(", ".join(fact for fact in facts if fact)), style="cyan")
    console.print(head)
    body = [_snippet(console, result)]
    body += [_note(note) for note in source.notes[:SHOWN_NOTES]] if source.kind != "note" else _status(source.notes)
    if len(source.notes) > SHOWN_NOTES:
        body.append(Text(f"and {len(source.notes) - SHOWN_NOTES} more notes", style="dim"))
    body.append(Text(printable(source.address or source.key), style="dim", overflow="fold"))
    body.append(Text(_why(result), style="dim"))
    if result.folded:
        body.append(Text(_folded(result), style="dim"))
    for part in body:
        console.print(Padding(part, (0, 0, 0, 3)))


def _snippet(console: "Console", result: "Result") -> "Text":
    from rich.text import Text

    shown = result.snippet
    plain = console.no_color or not console.is_terminal
    made = Text("" if shown.start <= result.hit.passage.start else "... ")
    for part, marked in shown.parts():
        text = printable(" ".join(part.split("\n")))
        made.append(f"*{text}*" if marked and plain else text, style="bold yellow" if marked else "")
    made.append("" if shown.end >= result.hit.passage.end else " ...")
    return made


def _note(note: "Note") -> "Text":
    from rich.text import Text

    helpful = note.status == "CURRENTLY_RATED_HELPFUL"
    text = textwrap.shorten(" ".join(note.text.split()), 280, placeholder=" ...")
    return Text(printable(f"Note ({_words(note.status)}): {text}"), style="green" if helpful else "dim")


def _status(notes: "tuple[Note, ...]") -> "list[Text]":
    from rich.text import Text

    return [Text(_words(note.status), style="dim") for note in notes[:1]]


def _words(status: str) -> str:
    """An official status as words: ``rated helpful``."""
    return printable(status.removeprefix("CURRENTLY_").replace("_", " ").lower())


def _why(result: "Result") -> str:
    """Why a result is here, in a line."""
    why = result.hit.why
    parts = []
    if "newest" in why:
        parts.append(f"newest #{why['newest']}")
    if "lexical rank" in why:
        parts.append(f"words #{why['lexical rank']}")
    if "dense rank" in why:
        parts.append(f"meaning #{why['dense rank']}")
    if result.matched:
        parts.append("has " + ", ".join(result.matched[:8]))
    elif "dense rank" in why:
        parts.append("has none of the words")
    if "age in days" in why:
        parts.append(f"{why['age in days']:,} days old")
    return printable("; ".join(parts))


def _folded(result: "Result") -> str:
    key = result.hit.passage.source.key
    same = sum(hit.passage.source.key == key for hit in result.folded)
    near = len(result.folded) - same
    parts = [f"{near:,} near the same"] if near else []
    parts += [f"{same:,} more of its passages"] if same else []
    return f"+ {', '.join(parts)} (--unfold shows all)"
