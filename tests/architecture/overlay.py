"""A copy of the package that a test may add to: what a newcomer would touch, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "kolossos"


def overlay(tmp_path: Path) -> Path:
    """A folder with a copy of ``kolossos/`` in it."""
    shutil.copytree(PACKAGE, tmp_path / "kolossos", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``kolossos`` with ``arguments``, as the copy under ``root`` has it."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "kolossos", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment)
