"""The whole report: from a path to its record, its Markdown and its HTML; and its files, each written whole."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.files import disk_has_room, write_whole
from kolossos.report.compute import count_compute
from kolossos.report.html import to_html
from kolossos.report.laws import load_laws, stand
from kolossos.report.markdown import to_markdown
from kolossos.report.read import read_subject
from kolossos.report.record import make_record
from kolossos.report.sections import make_sections


@dataclass(frozen=True)
class Report:
    """The three forms of one document."""

    record: dict[str, Any]
    markdown: str
    html: str

    @property
    def in_short(self) -> list[str]:
        """Title and first section, line by line, for a terminal."""
        return [line for line in self.markdown.split("\n## Model")[0].splitlines() if line]

    @property
    def json(self) -> str:
        """The record as text."""
        return json.dumps(self.record, indent=1, allow_nan=False) + "\n"


def make_report(path: Path, revenue_usd: float | None = None) -> Report:
    """The report of the run folder or plan file at ``path``; ``revenue_usd`` is the developer's, a year."""
    if revenue_usd is not None:
        check_revenue(revenue_usd)
    subject, table = read_subject(path), load_laws()
    compute = count_compute(subject)
    standings = [stand(law, compute, revenue_usd, subject.cost.value) for law in table.laws]
    sections = make_sections(subject, compute, standings, table, revenue_usd)
    title = f"Training report: {subject.name}"
    return Report(
        make_record(subject, compute, standings, table, revenue_usd),
        to_markdown(title, sections),
        to_html(title, sections, standings, compute.counted),
    )


def check_revenue(revenue_usd: float) -> None:
    """InputError unless it is an amount of money."""
    if not (math.isfinite(revenue_usd) and revenue_usd >= 0):
        raise InputError(f"{revenue_usd}: expected a number of dollars, 0 or more")


def default_folder(path: Path) -> Path:
    """Where the files go if nobody says: ``report`` in a run folder, beside a plan as ``NAME-report``."""
    return path / "report" if path.is_dir() else path.with_name(f"{path.stem}-report")


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.md, report.html and report.json into ``folder``; returns their paths."""
    contents = {"report.md": report.markdown, "report.html": report.html, "report.json": report.json}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with disk_has_room(folder, sum(len(text) for text in contents.values())):
            for name, text in contents.items():
                write_whole(folder / name, text)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: is a file, expected a folder") from None
    except PermissionError:
        raise InputError(f"{folder}: no permission to write there") from None
    return [folder / name for name in contents]
