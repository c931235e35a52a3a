"""Which run is asked for, and whether it begins or goes on: decided without torch, so mistakes are said at once."""

from dataclasses import dataclass
from pathlib import Path

from kolossos.errors import InputError
from kolossos.runs.folder import RunFolder, require_run_folder
from kolossos.runs.paths import RUNS_FOLDER
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.layouts import require_trainable


@dataclass(frozen=True)
class RunRequest:
    """A run to go on with (``existing``), or to begin in ``path``; ``spec`` is the one to follow in both cases.

    minutes: choose the number of steps of a new run so that it takes about this long. replace: delete what is there.
    """

    spec: RunSpec
    path: Path
    existing: RunFolder | None = None
    minutes: float | None = None
    replace: bool = False


def request_run(
    run: Path,
    overrides: list[str],
    *,
    folder: Path | None = None,
    minutes: float | None = None,
    fresh: bool = False,
    processes: int = 1,
) -> RunRequest:
    """Read ``run``, a run file or a run folder, to train it on so many ``processes``. Nothing is written.

    Raises:
        InputError: what cannot be read, cannot be trained, or would continue a run with another computation.
    """
    made = (
        _of_folder(run, overrides, minutes, fresh) if run.is_dir() else _of_file(run, overrides, folder, minutes, fresh)
    )
    require_trainable(made.spec.layout, made.spec.model, processes)
    return made


def _of_folder(run: Path, overrides: list[str], minutes: float | None, fresh: bool) -> RunRequest:
    if fresh or minutes is not None:
        raise InputError(
            f"{run} is a run folder: to begin again, or to choose the steps by the time they take, needs the run file "
            f"(TOML) it was made from"
        )
    existing = RunFolder.open(run)
    spec = existing.spec.with_overrides(overrides, str(existing.files.run_file))
    return RunRequest(existing.continued(spec), run, existing)


def _of_file(run: Path, overrides: list[str], folder: Path | None, minutes: float | None, fresh: bool) -> RunRequest:
    spec = load_run(run, overrides)
    path = folder or Path(RUNS_FOLDER) / spec.name
    if not path.exists():
        return RunRequest(spec, path, minutes=minutes)
    if fresh:
        require_run_folder(path)
        return RunRequest(spec, path, minutes=minutes, replace=True)
    existing = RunFolder.open(path)
    if minutes is not None:  # the number of steps was chosen when the run began
        spec = spec.with_steps(existing.spec.schedule.steps)
    return RunRequest(existing.continued(spec), path, existing)
