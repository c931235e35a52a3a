"""Reads what `kolossos report` is given: a run folder, or the JSON of `kolossos plan` or `kolossos simulate`."""

from pathlib import Path

from kolossos.errors import InputError
from kolossos.report.from_plan import read_plan
from kolossos.report.from_run import read_run
from kolossos.report.subject import Subject


def read_subject(path: Path) -> Subject:
    """The run or plan at ``path``; InputError if it is neither."""
    if path.is_dir():
        return read_run(path)
    if path.is_file():
        return read_plan(path)
    raise InputError(
        f"{path}: no such run folder or file; `kolossos train` makes a run, `kolossos plan --json > plan.json` a plan"
    )
