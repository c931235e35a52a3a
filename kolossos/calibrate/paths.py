"""What a calibration is asked for, checked before anything is measured and before torch is loaded."""

import os
from pathlib import Path

from kolossos.errors import InputError

LEAST_SECONDS, MOST_SECONDS = 1.0, 3600.0


def check_options(out: Path | None, cluster_out: Path | None, seconds: float, threads: int) -> None:
    """InputError if the files could not be written afterwards, or a number makes no sense."""
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InputError(f"seconds = {seconds:g}: expected a number from {LEAST_SECONDS:g} to {MOST_SECONDS:g}")
    if threads < 0:
        raise InputError(f"threads = {threads}: expected 1 or more, or 0 for all cores")
    for path in filter(None, (out, cluster_out)):
        _check(path)
    if out is not None and out == cluster_out:
        raise InputError(f"hardware and cluster are to be written into the same file, {out}")


def _check(path: Path) -> None:
    if path.suffix != ".toml":
        raise InputError(f"{path}: the file must end in .toml, for plans to read it")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written to")
