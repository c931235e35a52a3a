"""Which run is asked for, and whether it begins or goes on: decided without torch, so mistakes are said at once."""

from dataclasses import dataclass
from pathlib import Path

from kolossos.errors import InputError, nearest
from kolossos.runs.folder import RunFolder, may_become_run, require_run_folder
from kolossos.runs.paths import RUNS_FOLDER, is_run_folder
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.layouts import require_survivable, require_trainable
from kolossos.train.lifecycle.longer import step_that_stays


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
    processes: int | None = 1,
) -> RunRequest:
    """Read ``run``, a run file or a run folder, to train it on so many ``processes`` (None: those of its layout).

    Nothing is written.

    Raises:
        InputError: what cannot be read, cannot be trained, or would continue a run with another computation.
    """
    if run.is_dir():
        made = _of_folder(run, overrides, minutes, fresh)
    elif not run.exists() and run.suffix != ".toml":
        raise InputError(f"{run}: no run folder and no run file of that name{_like(run)}")
    else:
        made = _of_file(run, overrides, folder, minutes, fresh)
    if made.existing is not None:
        step_that_stays(made.existing, made.spec)
    require_survivable(made.spec, minutes)
    require_trainable(made.spec.layout, made.spec.model, processes or made.spec.layout.world_size)
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
    if may_become_run(path):
        return RunRequest(spec, path, minutes=minutes)
    if fresh:
        require_run_folder(path)
        return RunRequest(spec, path, minutes=minutes, replace=True)
    existing = RunFolder.open(path)
    if minutes is not None:  # the number of steps was chosen when the run began
        longer = [change.before for change in existing.spec.changes if change.key == "schedule.steps"]
        spec = spec.fitted(int([*longer, existing.spec.schedule.steps][0]))
        chosen = existing.spec.schedule.warmup_steps  # was chosen with the first number of steps, and is done
        schedule = spec.schedule.model_copy(update={"warmup_steps": chosen})
        spec = spec.model_copy(update={"schedule": schedule})
    spec = _with_later_values(spec, existing, named={override.partition("=")[0].strip() for override in overrides})
    return RunRequest(existing.continued(spec), path, existing)


def _with_later_values(spec: RunSpec, existing: RunFolder, named: set[str]) -> RunSpec:
    """The run file still says what a run began with: what was changed since stays, unless it is named now."""
    left = {(change.key, change.before): change.key for change in existing.spec.changes}
    if ("schedule.steps", spec.schedule.steps) in left and "schedule.steps" not in named:
        spec = spec.model_copy(update={"schedule": existing.spec.schedule})
    if ("data.path", spec.data.path) in left and "data.path" not in named:
        spec = spec.model_copy(update={"data": existing.spec.data})
    return spec


def _like(run: Path) -> str:
    """The run folders beside ``run`` whose names are like it, or all of them."""
    try:
        known = [place.name for place in run.parent.iterdir() if is_run_folder(place)]
    except OSError:
        known = []
    return nearest(run.name, known) if known else "; `kolossos train RUN.toml` makes a run folder"
