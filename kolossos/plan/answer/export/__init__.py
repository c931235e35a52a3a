"""A plan as files that start the real thing: a Kolossos run file, Megatron-LM arguments, a torchtitan configuration."""

from pathlib import Path

from kolossos.errors import InputError, nearest
from kolossos.files import write_whole
from kolossos.plan.answer.export import megatron, torchtitan
from kolossos.plan.answer.export.megatron import megatron_arguments
from kolossos.plan.answer.export.run_file import run_file
from kolossos.plan.answer.export.torchtitan import torchtitan_toml
from kolossos.plan.answer.one_kind import Answer
from kolossos.plan.choices import NAMES

EXPORTS = {"kolossos": run_file, "megatron": megatron_arguments, "torchtitan": torchtitan_toml}
SCHEDULES = {"kolossos": NAMES["schedule"], "megatron": megatron.SCHEDULES, "torchtitan": torchtitan.SCHEDULES}
"""Pipeline schedules that each exporter has words for."""


def write_export(name: str, answer: Answer, path: Path) -> None:
    """Write the plan for ``name``, one of EXPORTS, to ``path``. InputError for a schedule that it has no words for."""
    schedule = answer.priced.layout.schedule
    if schedule not in SCHEDULES[name]:
        raise InputError(f"export {name}: schedule '{schedule}' is not known there{nearest(schedule, SCHEDULES[name])}")
    write_whole(path, EXPORTS[name](answer))
