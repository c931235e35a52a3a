"""Weights that a run begins with in place of drawn ones: those of a Hugging Face folder or of another run.

Checked against the run's model and its data's tokenizer, hashed, and saved as the checkpoint of step 0, so that
going on needs the folder no more. The optimizer begins fresh.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kolossos.errors import InputError
from kolossos.files import sha256_of
from kolossos.model.decoder import Decoder
from kolossos.model.held import held_slices, held_tensor
from kolossos.model.huggingface import load_huggingface
from kolossos.model.huggingface.config import CONFIG_FILE
from kolossos.runs.folder import RunFolder
from kolossos.runs.paths import RunPaths, is_run_folder
from kolossos.specs.model import ModelSpec
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.checkpoint import Checkpoint
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.setup import Training

FREE_KEYS = {"name", "source", "max_seq_len", "attn_scale"}


@dataclass(frozen=True)
class FirstWeights:
    """The values of every parameter, in fp32 on the CPU, the hash of them all, and the file of their tokenizer."""

    path: Path
    tensors: Mapping[str, Tensor]
    sha256: str
    tokenizer: Path

    def require_tokenizer_of(self, training: Training) -> None:
        """InputError if the data have another tokenizer."""
        expected = training.corpus.manifest.tokenizer.sha256
        if not self.tokenizer.is_file() or sha256_of(self.tokenizer) != expected:
            raise InputError(
                f"{self.path}: its tokenizer is not the one of {training.spec.data.path}; prepare the data with it"
            )

    @torch.no_grad()
    def begin(self, training: Training, checkpoints: CheckpointFolder, *, save: bool = True) -> None:
        """Give them to the model, and save that as step 0."""
        for name, parameter in training.model.named_parameters():
            held_tensor(parameter).copy_(self.tensors[name][held_slices(parameter)])
        if save:
            checkpoints.save(0, training.state())
            checkpoints.finish()


def first_weights(spec: RunSpec, checkpoints: CheckpointFolder | None) -> FirstWeights | None:
    """The weights that ``spec`` begins with; None if it names none, or where a checkpoint of the run has been made.

    Raises:
        InputError: nothing to load, another model than the run's, or other weights than when the run began.
    """
    if spec.init is None or (checkpoints is not None and checkpoints.all()):
        return None
    path = Path(spec.init.path)
    model, tokenizer = _load(path)
    _require_same_model(path, model.spec, spec.model)
    tensors = dict(model.named_parameters())
    total = hashlib.sha256()
    for name, tensor in tensors.items():
        total.update(name.encode())
        total.update(tensor.detach().contiguous().numpy().data)
    if spec.init.sha256 not in (None, total.hexdigest()):
        raise InputError(f"{path}: these are not the weights that the run began with (init.sha256 differs)")
    return FirstWeights(path, tensors, total.hexdigest(), tokenizer)


def trained_model(run: RunFolder, checkpoint: Checkpoint) -> Decoder:
    """The model of a run in fp32 on the CPU with the weights of ``checkpoint``; in eval mode, without gradients."""
    with torch.device("meta"):
        model = Decoder(run.spec.model)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    checkpoint.load({f"model.{name}": tensor for name, tensor in model.state_dict().items()})
    return model


def _load(path: Path) -> tuple[Decoder, Path]:
    if (path / CONFIG_FILE).is_file():
        return load_huggingface(path), path / "tokenizer.json"
    if not is_run_folder(path):
        raise InputError(f"init: {path}: neither a run folder (no run.toml) nor a Hugging Face one (no {CONFIG_FILE})")
    run = RunFolder.open(path)
    checkpoint = CheckpointFolder(run.files.checkpoints, run.spec.checkpoint.keep).newest_good(lambda _: None)
    if checkpoint is None:
        raise InputError(f"init: {path}: no checkpoint in it to begin from")
    return trained_model(run, checkpoint), RunPaths(path).tokenizer


def _require_same_model(path: Path, theirs: ModelSpec, ours: ModelSpec) -> None:
    found, wanted = (_compared(spec) for spec in (theirs, ours))
    for key, value in found.items():
        if wanted[key] != value:
            raise InputError(
                f"init: the weights of {path} are of another model than the run's: {key} = {value}, not {wanted[key]}; "
                f"take the model from there: model.spec = a folder in the Hugging Face layout, or the [model] of its "
                f"run.toml"
            )


def _compared(spec: ModelSpec) -> dict[str, Any]:
    return spec.model_dump(exclude=FREE_KEYS) | {"attn_scale": round(spec.attention_scale, 9)}
