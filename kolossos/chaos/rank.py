"""A rank of a run under trial: what it would print is for the person who watches, for stdout is the outcome's."""

import os
import sys

from kolossos.launch.replicas import run_rank


def run_rank_aside(environment: dict[str, str], command: list[str]) -> None:
    """`run_rank` with stdout as stderr."""
    sys.stdout.flush()
    os.dup2(2, 1)
    run_rank(environment, command)
