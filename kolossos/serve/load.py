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
from kolossos.specs.tokens import CHAT_TOKENS
from kolossos.train.run_folder import RunFolder


def load_for_generation(
    path: Path, step: int | None = None, say: Callable[[str], None] = lambda _: None
) -> tuple[Decoder, Tokenizer]:
    """The model in eval mode and its tokenizer; on a GPU in bf16 if there is one, else on the CPU in fp32.

    ``step`` chooses a checkpoint of a run; without it the newest good one is taken, and ``say`` hears of damaged ones.

    Raises:
        InputError: ``path`` is neither kind of folder, has nothing to load, or a Hugging Face folder is given a step.
    """
    if (path / CONFIG_FILE).is_file():
        if step is not None:
            raise InputError(f"{path}: a Hugging Face folder holds one model, so --step {step} says nothing there")
        model, tokenizer = load_huggingface(path), Tokenizer.load(path)
    elif path.is_dir() and not (path / "run.toml").exists():
        raise InputError(f"{path}: neither a run folder (no run.toml) nor a Hugging Face one (no {CONFIG_FILE})")
    else:
        run = RunFolder.open(path)
        model, tokenizer = run.load_model(step, say), Tokenizer.load(run.tokenizer_path)
    if tokenizer.vocab_size > model.spec.vocab_size:
        raise InputError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens and the model only {model.spec.vocab_size}: "
            f"they do not belong together"
        )
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    return model, tokenizer


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
