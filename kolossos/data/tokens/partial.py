"""The folder beside the output where work in progress lives, so that the output itself is complete or absent.

``OUT.partial`` holds a plan (the options and the sources' hashes). The same command run again finds its own plan and
goes on from there. Of the work of another plan only documents that were read from the same files in the same way are
kept. When all is written the folder is renamed to ``OUT``. While a process works in it, it holds a lock on the folder,
which ends with that process.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from kolossos.data.corpus.manifest import MANIFEST_FILE, Manifest, OptionsRecord
from kolossos.data.document import storable
from kolossos.data.documents.sources import Source
from kolossos.data.documents.work_files import WORK_LAYOUT
from kolossos.data.option_error import OptionError
from kolossos.errors import InputError
from kolossos.files import UNFINISHED_SUFFIX, sync_folder, write_whole
from kolossos.stores import Store

PLAN_FILE = "plan.json"
OF_NO_PLAN = 0


class Plan(BaseModel):
    """What decides the output: options, and (argument, sha256) of each source; and how the work files are laid out."""

    layout: int = 1  # of work that was begun before it was counted
    options: OptionsRecord
    sources: list[tuple[str, str]]

    @classmethod
    def of(cls, sources: Sequence[Source], options: OptionsRecord) -> "Plan":
        return cls(
            layout=WORK_LAYOUT,
            options=options,
            sources=[(storable(source.argument), source.sha256) for source in sources],
        )

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> "Plan":
        sources = [(s.argument, s.sha256) for s in manifest.sources]
        return cls(layout=WORK_LAYOUT, options=manifest.options, sources=sources)

    def differences(self, other: "Plan") -> str:
        """What is not the same in ``other``, for a message."""
        mine, others = self.options.model_dump(), other.options.model_dump()
        changed = [name for name in mine if mine[name] != others[name]]
        if self.sources != other.sources:
            changed.insert(0, "sources")
        return ", ".join(changed)


@dataclass(frozen=True)
class PartialFolder:
    """The folders of one run of ``prepare``: the output, and the work in progress beside it."""

    out: Path

    @property
    def path(self) -> Path:
        return self.out.with_name(self.out.name + ".partial")

    @property
    def work(self) -> Path:
        """Files that are needed only until the output is complete."""
        return self.path / "work"

    @property
    def replaced(self) -> Path:
        """Where an output that is overwritten waits until the new one is in place."""
        return self.out.with_name(self.out.name + ".replaced")

    @property
    def gathered(self) -> Path:
        """Documents that were read, in files whose names say from what and how."""
        return self.work / "gathered"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works in the folder inside the block; it is made if it is not there, and left if it is empty.

        Raises:
            OptionError: another process works in it.
        """
        with self._writable():
            descriptor = self._lock()
        try:
            yield
        finally:
            with suppress(OSError):  # nothing was done, or all was moved away
                if descriptor is None or os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    self.path.rmdir()
            if descriptor is not None:
                os.close(descriptor)

    def _lock(self) -> int | None:
        """An open descriptor of the folder with the lock; None where the system has none for folders."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                import fcntl

                descriptor = os.open(self.path, os.O_RDONLY)
            except (ImportError, FileNotFoundError, PermissionError):
                if self.path.exists():
                    return None
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(descriptor)
                raise OptionError(
                    f"another process is preparing {self.out} now; wait for it or choose another folder", "out"
                ) from error
            except OSError:  # a file system without locks
                return descriptor
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    return descriptor
            os.close(descriptor)  # that folder was moved into its place between our two steps

    def open(self, plan: Plan) -> None:
        """Keep what an interrupted run of the same plan left in the folder; of another one, what was read."""
        with self._writable():
            found = self._plan_found()
            if found not in (plan, None):
                self._clear(plan)
            self.gathered.mkdir(parents=True, exist_ok=True)
            if not self.is_complete() and found != plan:
                write_whole(self.path / PLAN_FILE, plan.model_dump_json())

    def _clear(self, plan: Plan) -> None:
        """Remove all but what was gathered. Cut off at any point, the folder is still known to be of another plan."""
        plan_file = self.path / PLAN_FILE
        write_whole(plan_file, plan.model_copy(update={"layout": OF_NO_PLAN}).model_dump_json())
        (self.path / MANIFEST_FILE).unlink(missing_ok=True)
        for entry in (*self.path.iterdir(), *(self.work.iterdir() if self.work.is_dir() else ())):
            if entry.is_dir() and entry not in (self.work, self.gathered):
                shutil.rmtree(entry)
            elif entry.is_file() and entry != plan_file:
                entry.unlink()

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove what was gathered under other names."""
        known = set(names)
        for entry in self.gathered.iterdir():
            if entry.name.partition(".")[0] not in known:
                entry.unlink()

    def has_gathered(self) -> bool:
        """Whether some of the work of reading is done."""
        return self.gathered.is_dir() and any(entry.suffix == ".json" for entry in self.gathered.iterdir())

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OptionError(f"cannot write to {self.path}: {error.strerror}; choose another folder", "out") from error

    def is_complete(self) -> bool:
        return (self.path / MANIFEST_FILE).exists()

    def move_into_place(self) -> None:
        """Rename the complete folder to the output; one that was there is removed only afterwards."""
        shutil.rmtree(self.work, ignore_errors=True)
        (self.path / PLAN_FILE).unlink(missing_ok=True)
        sync_folder(self.path)
        if self.out.exists():
            os.replace(self.out, self.replaced)
        os.replace(self.path, self.out)
        sync_folder(self.out.parent)
        shutil.rmtree(self.replaced, ignore_errors=True)

    def discard(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _plan_found(self) -> Plan | None:
        """The plan of the work found; None for a run cut off before it had one. InputError if it is no work of ours."""
        try:
            if self.is_complete():
                return Plan.of_manifest(Manifest.read(self.path))
            return Plan.model_validate_json((self.path / PLAN_FILE).read_bytes())
        except (OSError, ValueError) as error:
            known = {self.work.name, PLAN_FILE + UNFINISHED_SUFFIX}
            if self.path.is_dir() and {entry.name for entry in self.path.iterdir()} <= known:
                return None
            raise OptionError(
                f"{self.path} is in the way: it is not work of an interrupted run; move it or choose another folder",
                "out",
            ) from error


def existing_output(out: Store, plan: Plan, overwrite: bool) -> Manifest | None:
    """The manifest of an output that is complete and of the same plan; None if there is none, or it may be overwritten.

    Raises:
        InputError: ``out`` is something else than prepared data, or it was made from another plan.
    """
    with suppress(NotADirectoryError):
        if not out.names():
            return None
    if not out.exists(MANIFEST_FILE):
        if not out.renames and out.exists(PLAN_FILE):  # it was being put there
            return None
        raise OptionError(f"{out} exists and is not prepared data; choose another folder", "out")
    try:
        manifest = Manifest.read(out)
    except InputError:
        if overwrite:
            return None
        raise
    found = Plan.of_manifest(manifest)
    if found == plan:
        return manifest
    if overwrite:
        return None
    raise OptionError(
        f"{out} holds data prepared otherwise (different: {plan.differences(found)}); "
        f"choose another folder or overwrite it",
        "overwrite",
    )
