"""rollbacks.json: when a run went back to a checkpoint for a bad step, and which batches it left out since. No torch.

Which batch a step reads is a pure function of the step and of this record, so a run that went back and was then
interrupted goes on exactly. The record is on the disk before the first step behind the checkpoint is computed again.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.runs.events import finite_or_null


@dataclass(frozen=True)
class Rollback:
    """From the bad step ``bad_step`` (from 1) back to ``to`` steps done; the next one reads batch ``data`` (from 0).

    loss, grad_norm: of the bad step; None: not finite.
    """

    to: int
    bad_step: int
    data: int
    loss: float | None = None
    grad_norm: float | None = None


def batch_of(step: int, rollbacks: Iterable[Rollback]) -> int:
    """The global batch that ``step`` (from 0) reads after these: the newest one at or before it decides."""
    since = [rollback for rollback in rollbacks if rollback.to <= step]
    return since[-1].data + step - since[-1].to if since else step


def of_history(rollbacks: list[Rollback], done: int) -> list[Rollback]:
    """Those that belong to a run whose state is that after ``done`` steps: what came behind it comes again."""
    kept = list(rollbacks)
    while kept and kept[-1].to > done:
        kept.pop()
    return kept


def read_rollbacks(path: Path) -> list[Rollback]:
    """The record, oldest first; [] without the file.

    Raises:
        InputError: it cannot be read; without it the run would go on with other data.
    """
    try:
        return [Rollback(**values) for values in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not the record of rollbacks that a run wrote ({error}); put it back") from None


def write_rollbacks(path: Path, rollbacks: list[Rollback]) -> None:
    """Write the record, whole or not at all."""
    write_whole(path, json.dumps([finite_or_null(asdict(rollback)) for rollback in rollbacks], indent=1))
