"""A plan as files that start the real thing: a Kolossos run file, Megatron-LM arguments, a torchtitan configuration."""

from pathlib import Path

from kolossos.files import write_whole
from kolossos.plan.answer import Answer
from kolossos.plan.export.megatron import megatron_arguments
from kolossos.plan.export.run_file import run_file
from kolossos.plan.export.torchtitan import torchtitan_toml

EXPORTS = {"kolossos": run_file, "megatron": megatron_arguments, "torchtitan": torchtitan_toml}


def write_export(name: str, answer: Answer, path: Path) -> None:
    """Write the plan for ``name``, one of EXPORTS, to ``path``."""
    write_whole(path, EXPORTS[name](answer))
