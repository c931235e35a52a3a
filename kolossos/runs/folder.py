"""A run on disk: the folder, the spec that made it, and what may change in that between two parts of the run."""

import os
import shutil
from pathlib import Path

from kolossos.errors import InputError
from kolossos.files import sync_folder, write_whole
from kolossos.runs.paths import TOKENIZER_CONFIG, RunPaths, is_run_folder
from kolossos.runs.promise import write_promise
from kolossos.specs.run import RECORDED, Change, RunSpec, changed_keys
from kolossos.specs.strict import read_toml

NEW = ".new"  # where the files of a run lie until all are there


class RunFolder:
    """A run on disk. ``files`` says where everything lies, ``spec`` is the run file in it."""

    def __init__(self, path: Path, spec: RunSpec):
        self.path, self.spec = path, spec
        self.files = RunPaths(path)

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run; InputError if the folder is none."""
        path = Path(path)
        require_run_folder(path)
        run_file = RunPaths(path).run_file
        return cls(path, RunSpec.parse(read_toml(run_file), str(run_file)))

    @classmethod
    def create(cls, path: Path, spec: RunSpec, tokenizer: Path, *, replace: bool = False) -> "RunFolder":
        """Make ``path`` (new, empty, or a link to such a folder) a run. A promise in ``spec`` gets a file of its own.

        It is a run from the moment the run file is there, which comes last. ``replace``: what is in the folder is
        deleted, once the new files are complete.
        """
        new = RunPaths(path / NEW)
        shutil.rmtree(new.folder, ignore_errors=True)
        try:
            new.folder.mkdir(parents=True)
            shutil.copyfile(tokenizer, new.tokenizer)
            config = tokenizer.with_name(TOKENIZER_CONFIG)
            if config.is_file():
                shutil.copyfile(config, new.tokenizer_config)
            if spec.promise is not None:
                write_promise(new.promise, spec.promise)
            spec = spec.without_promise()
            write_whole(new.run_file, spec.to_toml())
        except BaseException:
            shutil.rmtree(new.folder, ignore_errors=True)
            raise
        files = RunPaths(path)
        if replace:
            _empty(files, keep=(files.lock, new.folder))
        for file in sorted(new.folder.iterdir(), key=lambda file: file.name == files.run_file.name):
            os.replace(file, path / file.name)
        new.folder.rmdir()
        sync_folder(path)
        return cls(path, spec)

    def continued(self, spec: RunSpec) -> RunSpec:
        """The spec to go on under if ``spec`` is wanted; InputError if that computes something else than so far.

        The threads and the precision that were chosen when the run began stay, unless ``spec`` names others; so do the
        data, wherever they lie now; and what was promised then stays promised. Whether the number of steps may be
        another depends on its checkpoints (kolossos/train/lifecycle/longer.py). Nothing is written.
        """
        spec = spec.without_promise().with_changes(self.spec.changes)
        if spec.compute.threads == 0:
            spec = spec.with_threads(self.spec.compute.threads)
        if spec.layout.precision == "auto":
            spec = spec.with_precision(self.spec.layout.precision)
        if spec.data.sha256 is None and self.spec.data.sha256 is not None:
            spec = spec.with_data(self.spec.data.sha256)
        if spec.init is not None and spec.init.sha256 is None and self.spec.init is not None:
            spec = spec.with_init_sha256(self.spec.init.sha256)
        changes = changed_keys(self.spec, spec)
        decided = {"schedule.steps"}  # by kolossos/train/lifecycle/longer.py
        # a hash says more than the place; a run that was begun without one takes that of the data it finds
        decided.add("data.sha256" if self.spec.data.sha256 is None else "data.path")
        changes = [change for change in changes if change[0] not in decided]
        if changes:
            key, before, after = changes[0]
            more = f" (and {len(changes) - 1} more keys)" if len(changes) > 1 else ""
            raise InputError(
                f"{self.path}: this run was started with {key} = {before!r}, the run file now says {after!r}{more}; "
                f"put it back, or start another run in another folder"
            )
        return spec

    def adopt(self, spec: RunSpec, step: int = 0) -> None:
        """Go on under ``spec``, from now on written in the run file; InputError as from `continued`.

        What else than the place of files or the number of steps changes is operational and not recorded; these are,
        with ``step``, the steps done that stay.
        """
        spec = self.continued(spec)
        recorded = [
            Change(step=step, key=key, before=before, after=after)
            for key, before, after in changed_keys(self.spec, spec)
            if key in RECORDED
        ]
        spec = spec.with_changes([*self.spec.changes, *recorded])
        if spec != self.spec:
            self.spec = spec
            write_whole(self.files.run_file, spec.to_toml())

    def refit(self, steps: int) -> None:
        """Another number of steps, chosen by time while the run goes: the steps that are done stay what they are."""
        schedule = self.spec.schedule.model_copy(update={"steps": steps})
        self.spec = self.spec.model_copy(update={"schedule": schedule})
        write_whole(self.files.run_file, self.spec.to_toml())


def require_run_folder(path: Path) -> None:
    """InputError if ``path`` holds no run."""
    if not is_run_folder(path):
        what = "has no run.toml" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: not a run folder: it {what}; `kolossos train RUN.toml` makes one")


def may_become_run(path: Path) -> bool:
    """Whether a run can begin in ``path``: nothing is there, or an empty folder, or one left before it was a run."""
    ours = {RunPaths(path).lock.name, RunPaths(path).tokenizer.name, RunPaths(path).promise.name, NEW}
    return not path.exists() or (path.is_dir() and {file.name for file in path.iterdir()} <= ours)


def _empty(files: RunPaths, keep: tuple[Path, ...]) -> None:
    """Delete what is in a run folder, the run file first: from then on it is no run."""
    files.run_file.unlink(missing_ok=True)
    for place in files.folder.iterdir():
        if place.is_dir() and not place.is_symlink():
            if place not in keep:
                shutil.rmtree(place)
        elif place not in keep:
            place.unlink()
