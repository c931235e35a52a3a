"""A model out into a folder in the Hugging Face layout, whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from kolossos.errors import InputError
from kolossos.files import UNFINISHED_SUFFIX, disk_has_room, sync_folder, write_whole
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface.config import CONFIG_FILE, config_from_spec
from kolossos.model.huggingface.layouts import GROK, layout_of
from kolossos.model.huggingface.names import INDEX_FILE, WEIGHTS_FILE, StoredTensor, output_copy, stored_tensors
from kolossos.specs.tokens import END_TOKENS

GENERATION_CONFIG_FILE, TOKENIZER_CONFIG_FILE = "generation_config.json", "tokenizer_config.json"
SHARD_BYTES = 5_000_000_000
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def export_huggingface(
    model: Decoder,
    out: Path,
    tokenizer_path: Path | None,
    dtype: Literal["bfloat16", "float32"] = "bfloat16",
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write ``model`` to the folder ``out``; files of weights hold at most ``shard_bytes`` (or one tensor).

    ``tokenizer_path`` is a tokenizer.json; a tokenizer_config.json beside it goes along.

    Raises:
        InputError: no layout can hold the model, ``out`` exists already, or the disk is full.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is unknown; known: {', '.join(DTYPES)}")
    config = config_from_spec(model.spec, dtype)
    _check_place(out, overwrite)
    unfinished = out.with_name(out.name + UNFINISHED_SUFFIX)
    needed = sum(p.numel() for p in model.parameters()) * DTYPES[dtype].itemsize
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with disk_has_room(out.parent, needed):
            unfinished.mkdir(parents=True)
            ids = _write_tokenizer(tokenizer_path, unfinished, model.spec.max_seq_len) if tokenizer_path else {}
            _write_json(unfinished / CONFIG_FILE, config | ids)
            _write_json(unfinished / GENERATION_CONFIG_FILE, {"do_sample": True, **ids})
            _write_weights(model, unfinished, DTYPES[dtype], shard_bytes)
            sync_folder(unfinished)
            _move_into_place(unfinished, out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _check_place(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise InputError(f"{out} exists already; choose another folder, or ask to overwrite it")
    if not (out / CONFIG_FILE).is_file():
        raise InputError(f"{out} is no exported model (it has no {CONFIG_FILE}), so it is not overwritten")


def _move_into_place(unfinished: Path, out: Path) -> None:
    before = out.with_name(out.name + ".before")
    shutil.rmtree(before, ignore_errors=True)
    if out.exists():
        os.rename(out, before)
    os.rename(unfinished, out)
    sync_folder(out.parent)
    shutil.rmtree(before, ignore_errors=True)


def _write_json(file: Path, values: dict[str, Any]) -> None:
    write_whole(file, json.dumps(values, indent=2) + "\n")


def _write_tokenizer(tokenizer_path: Path, folder: Path, max_seq_len: int) -> dict[str, int]:
    """tokenizer.json, tokenizer_config.json, and the ids of the begin and end token as config.json has them.

    What a run trains on has an end token before every document: it is the begin token too.
    """
    beside, said = tokenizer_path.with_name(TOKENIZER_CONFIG_FILE), {}
    try:
        text = tokenizer_path.read_text(encoding="utf-8")
        values = json.loads(text)
        known = values["model"]["vocab"] | {token["content"]: token["id"] for token in values["added_tokens"]}
        if beside.is_file():
            said = json.loads(beside.read_text(encoding="utf-8"))
        named = said.get("eos_token")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{tokenizer_path}: not a tokenizer.json ({error})") from None
    named = named.get("content") if isinstance(named, dict) else named
    end = next((token for token in (named, *END_TOKENS) if token in known), None)
    if end is None:
        raise InputError(f"{tokenizer_path}: no end-of-text token in it; it needs one of {', '.join(END_TOKENS)}")
    write_whole(folder / tokenizer_path.name, text)
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    begin = {"bos_token": end, "add_bos_token": True}
    _write_json(folder / beside.name, fast | {"model_max_length": max_seq_len} | said | begin | {"eos_token": end})
    return {"bos_token_id": known[end], "eos_token_id": known[end]}


@torch.no_grad()
def _write_weights(model: Decoder, folder: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    """One file of weights or, above ``shard_bytes``, several and their index. Holds one file in memory at a time."""
    tensors = list(stored_tensors(model, layout_of(model.spec)))
    if model.spec.tied_embeddings and layout_of(model.spec) == GROK:  # SGLang wants the output matrix, tied or not
        tensors.append(output_copy(model))
    parameters = dict(model.named_parameters())
    shards = _shards(tensors, dtype.itemsize, shard_bytes)
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = WEIGHTS_FILE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        values = {tensor.name: tensor.made_of(parameters, dtype) for tensor in shard}
        save_file(values, folder / name, metadata={"format": "pt"})
        with open(folder / name, "rb+") as file:
            os.fsync(file.fileno())
        weight_map |= dict.fromkeys(values, name)
    if len(shards) > 1:
        total = sum(_elements(t) for t in tensors) * dtype.itemsize
        _write_json(folder / INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _shards(tensors: list[StoredTensor], item_bytes: int, shard_bytes: int) -> list[list[StoredTensor]]:
    shards: list[list[StoredTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        size = _elements(tensor) * item_bytes
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size
    return shards


def _elements(tensor: StoredTensor) -> int:
    return torch.Size(tensor.shape).numel()
