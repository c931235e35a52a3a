"""Completions of given texts: many prompts and many samples of each, in batches."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from kolossos.data.tokenizer import Tokenizer
from kolossos.model.decoder import Decoder
from kolossos.serve.generate import TokenEvent, generate
from kolossos.serve.options import GenerationOptions

BATCH = 32  # sequences at once
NOT_OF_JSON = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *range(0xD800, 0xE000))}
"""Control characters that JSON may hold as they are, and half characters that no encoding holds: escaped, too."""


@dataclass
class Completion:
    """One sample of one prompt (both counted from 0)."""

    prompt: int
    sample: int
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: str | None = None


@dataclass
class Completions:
    """All of them in the order prompt, sample; and how long the work took, prompts included."""

    completions: list[Completion]
    seconds: float

    @property
    def new_tokens(self) -> int:
        return sum(len(completion.tokens) for completion in self.completions)

    def to_json(self) -> str:
        """One JSON object: completions, new_tokens, seconds, tokens_per_s."""
        rate = self.new_tokens / self.seconds
        totals = {"new_tokens": self.new_tokens, "seconds": round(self.seconds, 4), "tokens_per_s": round(rate, 2)}
        return json.dumps(
            {"completions": [asdict(c) for c in self.completions], **totals}, ensure_ascii=False
        ).translate(NOT_OF_JSON)

    def to_text(self, prompts: Sequence[str]) -> str:
        """Each prompt with its continuation, under a heading where there is more than one."""
        if len(self.completions) == 1:
            return prompts[0] + self.completions[0].text
        headed = (
            f"--- prompt {c.prompt + 1}, sample {c.sample + 1}\n{prompts[c.prompt]}{c.text}" for c in self.completions
        )
        return "\n".join(headed)


def complete(
    model: Decoder, tokenizer: Tokenizer, prompts: Sequence[str], options: GenerationOptions, n_samples: int = 1
) -> Completions:
    """``n_samples`` continuations of every prompt; the same whatever else is asked for after it."""
    start = time.perf_counter()
    made = [Completion(prompt, sample) for prompt in range(len(prompts)) for sample in range(n_samples)]
    for event in events(model, tokenizer, [prompts[c.prompt] for c in made], options):
        completion = made[event.index]
        completion.tokens.append(event.token)
        completion.text += event.text
        completion.finish = event.finish
    return Completions(made, time.perf_counter() - start)


def stream(
    model: Decoder, tokenizer: Tokenizer, prompt: str, options: GenerationOptions, write: Callable[[str], object]
) -> None:
    """Write one prompt and its continuation as it comes."""
    write(prompt)
    for event in events(model, tokenizer, [prompt], options):
        write(event.text)


def events(
    model: Decoder, tokenizer: Tokenizer, prompts: Sequence[str], options: GenerationOptions
) -> Iterator[TokenEvent]:
    """Every token of every prompt's continuation, a batch after the other."""
    tokens = [tokenizer.encode_document(prompt) for prompt in prompts]
    for first in range(0, len(tokens), BATCH):
        yield from generate(model, tokenizer, tokens[first : first + BATCH], options, first_index=first)
