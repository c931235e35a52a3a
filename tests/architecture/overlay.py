"""A copy of the package to add a file to, as a guest would, and commands run with that copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import kolossos


def overlay(tmp_path: Path) -> Path:
    """A folder with a copy of the package ``kolossos``."""
    root = tmp_path / "overlay"
    source = Path(kolossos.__file__).parent
    shutil.copytree(source, root / "kolossos", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``kolossos ARGUMENTS`` with the package in ``root``, in that folder."""
    environment = dict(os.environ, PYTHONPATH=str(root))
    command = [sys.executable, "-m", "kolossos", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
