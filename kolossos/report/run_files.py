"""What the report reads of a run's folder and of its data: text files only, no weights."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.files import sha256_of
from kolossos.runs.environment import Environment
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.runs.paths import RunPaths
from kolossos.specs.run import RunSpec

MANIFEST_FILE = "manifest.json"


def run_spec(folder: Path) -> RunSpec:
    """The specification of the run in ``folder``; InputError if it is no run folder."""
    return RunFolder.open(folder).spec


def training_steps(folder: Path) -> list[dict[str, Any]]:
    """The training events of the run, at least one, each with the tokens seen."""
    path = RunPaths(folder).metrics
    try:
        events = read_events(path, "train")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the run has not done a step yet") from None
    except (KeyError, TypeError, UnicodeDecodeError):
        raise InputError(f"{path}: not the metrics of a run: expected one JSON event with a kind a line") from None
    if not events or not all(isinstance(events[-1].get(key), int | float) for key in ("tokens", "step")):
        raise InputError(f"{path}: no training step with its number of tokens; has the run begun?")
    return events


def environment(folder: Path) -> dict[str, Any]:
    """The machine of the run as it was recorded; empty if it was not."""
    found = Environment.read(RunPaths(folder).environment)
    return {key: value for key, value in asdict(found).items() if value is not None} if found else {}


def manifest_path(folder: Path, data_path: str) -> Path | None:
    """The manifest of the data at ``data_path`` (as it is, or from the run's folder); None where it is not at hand."""
    places = (Path(data_path) / MANIFEST_FILE, folder / data_path / MANIFEST_FILE)
    return next((path for path in places if path.is_file()), None)


def tokenizer_sha256(folder: Path) -> str | None:
    """Of the tokenizer that the run keeps, if it keeps one."""
    path = RunPaths(folder).tokenizer
    return sha256_of(path) if path.is_file() else None
