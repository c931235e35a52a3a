"""Reads what `kolossos report` is given: a run folder, or the JSON of a plan or a simulation."""

import json
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.report.from_plan import subject_of_plan
from kolossos.report.from_run import read_run
from kolossos.report.from_simulation import subject_of_simulation
from kolossos.report.subject import Subject


def read_subject(path: Path) -> Subject:
    """The run, plan or simulation at ``path``; InputError if it is none."""
    if path.is_dir():
        return read_run(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such run folder or file; a report is of a run that `kolossos train` made, "
            f"or of the JSON of `kolossos plan` or `kolossos simulate`"
        )
    values = _object(path)
    return subject_of_simulation(values, path) if "inputs" in values else subject_of_plan(values, path)


def _object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); a report needs a run folder or a plan's JSON") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, as `kolossos plan` prints")
    return values
