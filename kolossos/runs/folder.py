"""A run on disk: the folder, the spec that made it, and what may change in that between two parts of the run."""

import shutil
from pathlib import Path

from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.runs.paths import TOKENIZER_CONFIG, RunPaths, is_run_folder
from kolossos.runs.promise import write_promise
from kolossos.specs.run import RunSpec, changed_keys
from kolossos.specs.strict import read_toml


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
        """A new run folder, complete from the moment it has its name. A promise in ``spec`` gets a file of its own.

        ``replace``: the folder that has the name is deleted, once the new one is complete.
        """
        partial = RunPaths(path.with_name(path.name + ".partial"))
        shutil.rmtree(partial.folder, ignore_errors=True)
        partial.checkpoints.mkdir(parents=True)
        for source, copy in (
            (tokenizer, partial.tokenizer),
            (tokenizer.with_name(TOKENIZER_CONFIG), partial.tokenizer_config),
        ):
            if source.is_file() or copy == partial.tokenizer:
                shutil.copyfile(source, copy)
        if spec.promise is not None:
            write_promise(partial.promise, spec.promise)
        spec = spec.without_promise()
        write_whole(partial.run_file, spec.to_toml())
        if replace and path.exists():
            shutil.rmtree(path)
        partial.folder.rename(path)
        return cls(path, spec)

    def continued(self, spec: RunSpec) -> RunSpec:
        """The spec to go on under if ``spec`` is wanted; InputError if that computes something else than so far.

        The number of threads that was chosen when the run began stays, unless ``spec`` names another; and what was
        promised then stays promised. Nothing is written.
        """
        spec = spec.without_promise()
        if spec.compute.threads == 0:
            spec = spec.with_threads(self.spec.compute.threads)
        if spec.init is not None and spec.init.sha256 is None and self.spec.init is not None:
            spec = spec.with_init_sha256(self.spec.init.sha256)
        changes = changed_keys(self.spec, spec)
        if changes:
            key, before, after = changes[0]
            more = f" (and {len(changes) - 1} more keys)" if len(changes) > 1 else ""
            raise InputError(
                f"{self.path}: this run was started with {key} = {before!r}, the run file now says {after!r}{more}; "
                f"put it back, or start another run in another folder"
            )
        return spec

    def adopt(self, spec: RunSpec) -> None:
        """Go on under ``spec``, from now on written in the run file; InputError as from `continued`."""
        spec = self.continued(spec)
        if spec != self.spec:
            self.spec = spec
            write_whole(self.files.run_file, spec.to_toml())


def require_run_folder(path: Path) -> None:
    """InputError if ``path`` holds no run."""
    if not is_run_folder(path):
        what = "has no run.toml" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: not a run folder: it {what}; `kolossos train RUN.toml` makes one")
