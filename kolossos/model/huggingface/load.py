"""A model in from a folder in the Hugging Face layout. Only safetensors are read: pickled weights can run code."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface.config import architecture_of, read_config, spec_from_huggingface
from kolossos.model.huggingface.names import (
    INDEX_FILE,
    OUTPUT_NAME,
    WEIGHTS_FILE,
    StoredTensor,
    current_name,
    stored_tensors,
)

MOST_MAPPED_BYTES = 2**28
PLAIN_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


@torch.no_grad()
def load_huggingface(folder: Path) -> Decoder:
    """The model of ``folder`` on the CPU in fp32, in eval mode and without gradients.

    Raises:
        InputError: no safetensors, a model that Kolossos cannot express, or tensors missing, unexpected or misshaped.
    """
    config = read_config(folder)
    architecture = architecture_of(config)
    with torch.device("meta"):
        model = Decoder(spec_from_huggingface(config, folder.name))
    wanted = list(stored_tensors(model, architecture))
    found = _tensors_of(folder, architecture)
    tied = model.spec.tied_embeddings
    _check_names(folder, wanted, found, optional={OUTPUT_NAME} if tied else set())
    parameters = dict(model.to_empty(device="cpu").requires_grad_(False).eval().named_parameters())
    files = _Files(folder)

    def read(name: str, shape: tuple[int, ...]) -> Tensor:
        file, name_in_file = found[name]
        return _checked(files.tensor(file, name_in_file), shape, f"{folder / file}: {name_in_file}")

    for tensor in wanted:
        tensor.load(read(tensor.name, tensor.shape), parameters)
    embedding = parameters["embedding.weight"]
    if tied and OUTPUT_NAME in found:
        copy = read(OUTPUT_NAME, tuple(embedding.shape))
        if not torch.equal(copy.float(), embedding):
            raise InputError(f"{folder}: {OUTPUT_NAME} differs from the embedding, though config.json ties the two")
    return model


class _Files:
    """Tensors of a folder's files. What was read is mapped memory until a file is closed: that is done in between."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._open: dict[str, Any] = {}
        self._mapped = 0

    def tensor(self, file: str, name: str) -> Tensor:
        """One tensor, good until the next is asked for."""
        if self._mapped > MOST_MAPPED_BYTES:
            self._open.clear()
            self._mapped = 0
        if file not in self._open:
            self._open[file] = _open(self._folder / file)
        value = self._open[file].get_tensor(name)
        self._mapped += value.nbytes
        return value


def _open(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} cannot be read as safetensors: {error}") from None


def _tensors_of(folder: Path, architecture: str) -> dict[str, tuple[str, str]]:
    """Current name of every tensor in the folder -> (file, name in the file)."""
    if (folder / INDEX_FILE).is_file():
        try:
            weight_map = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["weight_map"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / INDEX_FILE} is damaged: {error!r}") from None
        pairs = [(name, file) for file in sorted(set(weight_map.values())) for name in _names_in(folder / file)]
    elif (folder / WEIGHTS_FILE).is_file():
        pairs = [(name, WEIGHTS_FILE) for name in _names_in(folder / WEIGHTS_FILE)]
    else:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
        why = "; pickled weights are not read, for they can run code: convert them to safetensors" if pickled else ""
        raise InputError(f"{folder}: neither {WEIGHTS_FILE} nor {INDEX_FILE} in it{why}")
    return {current_name(name, architecture): (file, name) for name, file in pairs}


def _names_in(file: Path) -> list[str]:
    with _open(file) as opened:
        return list(opened.keys())


def _check_names(
    folder: Path, wanted: list[StoredTensor], found: dict[str, tuple[str, str]], optional: set[str]
) -> None:
    names = {tensor.name for tensor in wanted}
    unexpected = [name for name in found if name not in names | optional and not name.endswith("rotary_emb.inv_freq")]
    for what, problem in (("missing", sorted(names - found.keys())), ("unexpected", sorted(unexpected))):
        if problem:
            more = f" and {len(problem) - 1} more" if len(problem) > 1 else ""
            raise InputError(f"{folder}: tensor {problem[0]}{more} {what}; the weights and config.json do not fit")


def _checked(value: Tensor, shape: tuple[int, ...], where: str) -> Tensor:
    if tuple(value.shape) != shape:
        raise InputError(f"{where} has shape {list(value.shape)}; config.json asks for {list(shape)}")
    if value.dtype not in PLAIN_DTYPES:
        raise InputError(f"{where} is {value.dtype}; quantized weights are not read, give bfloat16, float16 or float32")
    return value
