"""What the report reads of a run's folder and of its data: text files only, no weights."""

import json
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.files import sha256_of
from kolossos.specs.run import RunSpec
from kolossos.specs.strict import read_toml

SPEC_FILE, EVENTS_FILE, ENVIRONMENT_FILE = "run.toml", "metrics.jsonl", "environment.json"
TOKENIZER_FILE, MANIFEST_FILE = "tokenizer.json", "manifest.json"


def run_spec(folder: Path) -> RunSpec:
    """The specification of the run in ``folder``; InputError if it is no run folder."""
    path = folder / SPEC_FILE
    if not path.is_file():
        raise InputError(f"{folder}: not a run folder: it has no {SPEC_FILE}; `kolossos train RUN.toml` makes one")
    return RunSpec.parse(read_toml(path), str(path))


def training_steps(folder: Path) -> list[dict[str, Any]]:
    """The training events of the run, at least one, each with the tokens seen; a last line cut off is left out."""
    path = folder / EVENTS_FILE
    try:
        events = [event for event in _events(path) if event["kind"] == "train"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the run has not done a step yet") from None
    except (KeyError, TypeError, UnicodeDecodeError):
        raise InputError(f"{path}: not the metrics of a run: expected one JSON event with a kind a line") from None
    if not events or not all(isinstance(events[-1].get(key), int | float) for key in ("tokens", "step")):
        raise InputError(f"{path}: no training step with its number of tokens; has the run begun?")
    return events


def environment(folder: Path) -> dict[str, Any]:
    """The machine of the run as it was recorded; empty if it was not."""
    path = folder / ENVIRONMENT_FILE
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    return values if isinstance(values, dict) else {}


def manifest_path(folder: Path, data_path: str) -> Path | None:
    """The manifest of the data at ``data_path`` (as it is, or from the run's folder); None where it is not at hand."""
    places = (Path(data_path) / MANIFEST_FILE, folder / data_path / MANIFEST_FILE)
    return next((path for path in places if path.is_file()), None)


def tokenizer_sha256(folder: Path) -> str | None:
    """Of the tokenizer that the run keeps, if it keeps one."""
    path = folder / TOKENIZER_FILE
    return sha256_of(path) if path.is_file() else None


def _events(path: Path) -> list[dict[str, Any]]:
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            break
    return events
