"""The text that a run writes while it trains: its prompt, continued by the model as it stands."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from kolossos.data.corpus.corpus import Corpus
from kolossos.model.decoder import Decoder
from kolossos.serve.complete import complete
from kolossos.serve.load import run_tokenizer
from kolossos.serve.options import GenerationOptions
from kolossos.specs.run import RunSpec

LINES_LOOKED_AT = 100
PROMPT_CHARACTERS = 60


def text_sampler(tokenizer_path: Path, spec: RunSpec) -> Callable[[Decoder], str] | None:
    """What writes the run's sample text, without compiling for generation; None if the run wants none."""
    if spec.evaluate.sample_tokens == 0:
        return None
    tokenizer = run_tokenizer(tokenizer_path)
    prompt = spec.evaluate.sample_prompt or first_words(spec)
    options = GenerationOptions(max_new_tokens=spec.evaluate.sample_tokens, seed=spec.seed)

    def sample(model: Decoder) -> str:
        was_training = model.training
        model.eval()
        with torch.compiler.set_stance("force_eager"):
            made = complete(model, tokenizer, [prompt], options)
        model.train(was_training)
        return prompt + made.completions[0].text

    return sample


def first_words(spec: RunSpec) -> str:
    """How the held-out text of the run's data begins: a prompt of its own kind; nothing where nothing is held out."""
    try:
        with open(Corpus.open(spec.data.path).validation_text_path, encoding="utf-8", errors="ignore") as text:
            lines = (line for line in islice(text, LINES_LOOKED_AT) if line.strip())
            return next(lines, "")[:PROMPT_CHARACTERS]
    except OSError:
        return ""
