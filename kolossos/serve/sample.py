"""The text that a run writes while it trains: its prompt, continued by the model as it stands."""

from collections.abc import Callable
from pathlib import Path

import torch

from kolossos.model.decoder import Decoder
from kolossos.serve.complete import complete
from kolossos.serve.load import run_tokenizer
from kolossos.serve.options import GenerationOptions
from kolossos.specs.run import RunSpec


def text_sampler(tokenizer_path: Path, spec: RunSpec) -> Callable[[Decoder], str] | None:
    """What writes the run's sample text, without compiling for generation; None if the run wants none."""
    if spec.evaluate.sample_tokens == 0:
        return None
    tokenizer = run_tokenizer(tokenizer_path)
    prompt = spec.evaluate.sample_prompt
    options = GenerationOptions(max_new_tokens=spec.evaluate.sample_tokens, seed=spec.seed)

    def sample(model: Decoder) -> str:
        was_training = model.training
        model.eval()
        with torch.compiler.set_stance("force_eager"):
            made = complete(model, tokenizer, [prompt], options)
        model.train(was_training)
        return prompt + made.completions[0].text

    return sample
