"""A model and its tokenizer, ready to generate, from a run folder or a Hugging Face folder."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface import load_huggingface
from kolossos.model.huggingface.config import CONFIG_FILE
from kolossos.model.huggingface.export import GENERATION_CONFIG_FILE
from kolossos.runs.folder import RunFolder
from kolossos.runs.paths import is_run_folder
from kolossos.specs.counts import count_parameters
from kolossos.specs.tokens import CHAT_TOKENS
from kolossos.train.checkpoints.checkpoint import Checkpoint
from kolossos.train.checkpoints.names import committed_steps
from kolossos.train.first_weights import trained_model
from kolossos.train.start import checkpoints_of

TOKENS_FOR_A_PARAMETER = 20
"""Of the best use of a budget of compute (Hoffmann et al. 2022, arXiv:2203.15556, table 3)."""


def load_for_generation(
    path: Path, step: int | None = None, say: Callable[[str], None] = lambda _: None
) -> tuple[Decoder, Tokenizer]:
    """The model in eval mode and its tokenizer; on a GPU in bf16 if there is one, else on the CPU in fp32.

    ``step`` chooses a checkpoint of a run; without it the newest good one is taken, and ``say`` hears of damaged ones.

    Raises:
        InputError: ``path`` is neither kind of folder, has nothing to load, or a Hugging Face folder is given a step.
    """
    model, tokenizer = load_weights(path, step, say)
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    return model, tokenizer


def load_for_scoring(
    path: Path, step: int | None = None, say: Callable[[str], None] = lambda _: None
) -> tuple[Decoder, Tokenizer]:
    """The same with the weights in fp32, as in training, on a GPU if there is one: what is scored is not rounded."""
    model, tokenizer = load_weights(path, step, say)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def load_weights(path: Path, step: int | None, say: Callable[[str], None]) -> tuple[Decoder, Tokenizer]:
    """The model in eval mode on the CPU in fp32, and its tokenizer; InputError as above."""
    if (path / CONFIG_FILE).is_file():
        if step is not None:
            raise InputError(f"{path}: a Hugging Face folder holds one model, so step {step} says nothing there")
        model, tokenizer = load_huggingface(path), Tokenizer.load(path)
        tokenizer.stop_ids |= stop_ids(path)
    elif path.is_dir() and not is_run_folder(path):
        raise InputError(f"{path}: neither a run folder (no run.toml) nor a Hugging Face one (no {CONFIG_FILE})")
    else:
        run = RunFolder.open(path)
        model, tokenizer = load_model(run, step, say), run_tokenizer(run.files.tokenizer)
    if tokenizer.vocab_size > model.spec.vocab_size:
        raise InputError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens and the model only {model.spec.vocab_size}: "
            f"they do not belong together"
        )
    return model, tokenizer


def run_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer of a run. What a run trains on has an end token before every document: so a text begins."""
    tokenizer = Tokenizer.load(file)
    tokenizer.begin_ids = [tokenizer.eos_id]
    return tokenizer


def stop_ids(folder: Path) -> frozenset[int]:
    """The tokens that end an answer by config.json and generation_config.json: one, a list of them, or none."""
    found: set[int] = set()
    for name in (CONFIG_FILE, GENERATION_CONFIG_FILE):
        try:
            config = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        value = config.get("eos_token_id") if isinstance(config, dict) else None
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
            raise InputError(f"{folder / name}: eos_token_id = {value!r}: expected a token id or a list of them")
        found |= set(ids)
    return frozenset(found)


def load_model(run: RunFolder, step: int | None = None, say: Callable[[str], None] = lambda _: None) -> Decoder:
    """The model in fp32 with the weights of ``step``, or of the newest good checkpoint; in eval mode."""
    return trained_model(run, _chosen(run, step, say))


def _chosen(run: RunFolder, step: int | None, say: Callable[[str], None]) -> Checkpoint:
    folder = checkpoints_of(run)
    if step is None:
        checkpoint = folder.newest_good(say)
        if checkpoint is None:
            raise InputError(f"{run.path}: no checkpoint yet; `kolossos train` makes one")
        return checkpoint
    found = [c for c in folder.all() if c.step == step]
    if not found:
        known = ", ".join(str(c.step) for c in folder.all()) or "none"
        raise InputError(f"{run.path}: no checkpoint of step {step}; there are: {known}")
    damage = found[0].damage()
    if damage:
        raise InputError(f"{found[0].folder} is damaged: {damage}")
    return found[0]


def little_training(path: Path, step: int | None = None) -> str | None:
    """A sentence about a run that has seen far too little text to write well; None for any other, and other folders."""
    if not is_run_folder(path):
        return None
    run = RunFolder.open(path)
    steps = step or max(committed_steps(run.files.checkpoints), default=0)
    tokens = steps * run.spec.layout.global_batch_size * run.spec.layout.seq_len
    each = tokens / count_parameters(run.spec.model).active
    if each >= TOKENS_FOR_A_PARAMETER:
        return None
    return (
        f"This model has seen {tokens:,} tokens in {steps:,} steps, {each:.2g} for each of its parameters; below "
        f"about {TOKENS_FOR_A_PARAMETER} expect little sense."
    )


def trained_on_chats(path: Path, tokenizer: Tokenizer) -> bool:
    """Whether tokenizer_config.json has a chat template with our markers (and the tokenizer has them as tokens).

    A base model has none: its tokenizer may know the markers, but the model has never seen them.
    """
    try:
        template = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
        for token in CHAT_TOKENS:
            tokenizer.special_id(token)
    except (OSError, ValueError, AttributeError, InputError):
        return False
    return isinstance(template, str) and "<|user|>" in template and "<|assistant|>" in template
