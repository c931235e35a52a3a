"""How checkpoints are named, and which there are on this machine; without torch."""

import os
from pathlib import Path

PREFIX = "step-"


def name_of(step: int) -> str:
    """The folder of the checkpoint of ``step``."""
    return f"{PREFIX}{step:08d}"


def step_of(name: str) -> int | None:
    """The step whose checkpoint has this name; None for the name of anything else."""
    digits = name[len(PREFIX) :]
    return int(digits) if name.startswith(PREFIX) and digits.isdigit() else None


def committed_steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder of this machine, in order; whether they are good is not looked at."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(step for name in names if (step := step_of(name)) is not None)
