"""A run folder holds everything of one run:

run.toml           the resolved run file
environment.json   software, machine, measured peak
tokenizer.json     so that the folder can be used without the data
metrics.jsonl      one event a line; the first gives the units
tensorboard/       the same for TensorBoard
checkpoints/       see checkpoint.py
samples/           text written during training
plots/             loss.png
"""

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import torch

from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.model.decoder import Decoder
from kolossos.specs.run import RunSpec, changed_keys
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.evaluate import Evaluation
from kolossos.train.metrics import read_events


class RunFolder:
    """A run on disk, and the spec that made it."""

    def __init__(self, path: Path, spec: RunSpec):
        self.path, self.spec = path, spec

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run; InputError if the folder is none."""
        path = Path(path)
        run_file = path / "run.toml"
        if not run_file.is_file():
            what = "has no run.toml" if path.is_dir() else "does not exist"
            raise InputError(f"{path}: not a run folder: it {what}; `kolossos train RUN.toml` makes one")
        try:
            values = tomllib.loads(run_file.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{run_file}: not valid TOML: {error}") from None
        return cls(path, RunSpec.parse(values, str(run_file)))

    @classmethod
    def create(cls, path: Path, spec: RunSpec, tokenizer: Path) -> "RunFolder":
        """A new run folder, complete from the moment it has its name."""
        partial = path.with_name(path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "checkpoints").mkdir(parents=True)
        shutil.copyfile(tokenizer, partial / "tokenizer.json")
        write_whole(partial / "run.toml", spec.to_toml())
        partial.rename(path)
        return cls(path, spec)

    def adopt(self, spec: RunSpec) -> None:
        """Go on under ``spec``: InputError if it would compute something else than the run so far.

        The number of threads that was chosen when the run began stays, unless ``spec`` names another.
        """
        if spec.compute.threads == 0:
            compute = spec.compute.model_copy(update={"threads": self.spec.compute.threads})
            spec = spec.model_copy(update={"compute": compute})
        changes = changed_keys(self.spec, spec)
        if changes:
            key, before, after = changes[0]
            more = f" (and {len(changes) - 1} more keys)" if len(changes) > 1 else ""
            raise InputError(
                f"{self.path}: this run was started with {key} = {before!r}, the run file now says {after!r}{more}; "
                f"put it back, or start another run with --run FOLDER"
            )
        if spec != self.spec:
            self.spec = spec
            write_whole(self.path / "run.toml", spec.to_toml())

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.path)

    def is_finished(self) -> bool:
        """Whether the last step was done, saved, and scored on the whole validation split."""
        steps = self.spec.schedule.steps
        events = read_events(self.metrics_path, "validation") if self.metrics_path.exists() else []
        scored = any(event["step"] == steps for event in events)
        return scored and any(c.step == steps for c in self.checkpoints().all())

    def last_evaluation(self) -> Evaluation:
        """What a finished run scored on the whole validation split."""
        event = read_events(self.metrics_path, "validation")[-1]
        return Evaluation(event["validation_loss"] * event["n_tokens"], event["n_tokens"], event["n_bytes"])

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    def checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.path / "checkpoints", self.spec.checkpoint.keep)

    def load_model(self, step: int | None = None, say: Callable[[str], None] = lambda _: None) -> Decoder:
        """The model in fp32 with the weights of ``step``, or of the newest good checkpoint; in eval mode."""
        folder = self.checkpoints()
        if step is None:
            checkpoint = folder.newest_good(say)
            if checkpoint is None:
                raise InputError(f"{self.path}: no checkpoint yet; `kolossos train` makes one")
        else:
            found = [c for c in folder.all() if c.step == step]
            if not found:
                known = ", ".join(str(c.step) for c in folder.all()) or "none"
                raise InputError(f"{self.path}: no checkpoint of step {step}; there are: {known}")
            checkpoint = found[0]
            damage = checkpoint.damage()
            if damage:
                raise InputError(f"{checkpoint.folder} is damaged: {damage}")
        with torch.device("meta"):
            model = Decoder(self.spec.model)
        model = model.to_empty(device="cpu").requires_grad_(False).eval()
        checkpoint.load({f"model.{name}": tensor for name, tensor in model.state_dict().items()})
        return model
