"""A copy of the package to which a test adds files, and the command line run on it in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import kolossos


def overlay(tmp_path: Path) -> Path:
    """A folder to put on PYTHONPATH: a copy of the package, without what was compiled of it."""
    root = tmp_path / "overlay"
    shutil.copytree(Path(kolossos.__file__).parent, root / "kolossos", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``kolossos ARGUMENTS`` with the copy in ``root``."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"}
    command = [sys.executable, "-m", "kolossos", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment)
