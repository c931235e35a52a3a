"""promise.json: what a plan said about the steps of a run, kept as it was when the run began."""

import json
from pathlib import Path

from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.specs.promise import PromiseSpec


def write_promise(path: Path, promise: PromiseSpec) -> None:
    """Write it, whole or not at all."""
    write_whole(path, json.dumps(promise.model_dump(), indent=1, allow_nan=False) + "\n")


def read_promise(path: Path) -> PromiseSpec | None:
    """The promise in this file; None without the file, for most runs were never planned."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    return PromiseSpec.parse(values, str(path))
