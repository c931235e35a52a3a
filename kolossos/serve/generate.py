"""Generation: prefill the prompts of a batch, then one token a step for every sequence that has not ended.

Notable: prompts of different lengths are padded on the right, and every sequence has its own positions; sequences leave
the batch as they end; the tokens of a sequence depend on (seed, its index, its prompt) and not on its neighbours.

Shapes: B sequences, S tokens, D dim, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.serve.answer_text import AnswerText
from kolossos.serve.cache import KeyValueCache
from kolossos.serve.options import GenerationOptions
from kolossos.serve.sampling import choose_tokens, sequence_generator

PREFILL_TOKENS = 512  # of each sequence at a time: bounds the attention logits held at once
Finish = Literal["end token", "stop text", "max tokens", "context full"]


@dataclass(frozen=True)
class TokenEvent:
    """One more token of a sequence. ``text`` is what became certain with it; ``finish`` is set on the last one."""

    index: int
    token: int
    text: str
    finish: Finish | None


@torch.inference_mode()
def generate(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    first_index: int = 0,
) -> Iterator[TokenEvent]:
    """Continue every prompt (token ids; an empty one begins a new document), in the dtype of the model's weights.

    Sequence i draws its random numbers from (seed, first_index + i), so that a large job gives the same answers however
    it is cut into batches. Indices of events count from ``first_index``.

    Raises:
        InputError: a prompt that leaves no room for an answer in the model's context.
    """
    limit = model.spec.max_seq_len
    starts = [list(prompt) or [tokenizer.eos_id] for prompt in prompts]
    for index, start in enumerate(starts, first_index):
        if len(start) >= limit:
            raise InputError(
                f"prompt {index} has {len(start)} tokens and the model's context {limit}: no room for an answer"
            )
    live = [_Sequence(index, start, limit, tokenizer, options) for index, start in enumerate(starts, first_index)]
    if not live:
        return
    cache = KeyValueCache(model, len(live), max(map(len, starts)) + 1)
    hidden_BD = _prefill(model, starts, cache)
    while True:
        logits_BV = model.logits(hidden_BD[:, None])[:, 0, : tokenizer.vocab_size]  # a padded head has more
        tokens_B = choose_tokens(logits_BV, [s.generator for s in live], options)
        for sequence, token in zip(live, tokens_B.tolist(), strict=True):
            yield sequence.accept(token)
        rows = [row for row, sequence in enumerate(live) if sequence.finish is None]
        if not rows:
            return
        if len(rows) < len(live):
            live, tokens_B = [live[row] for row in rows], tokens_B[rows]
            cache.keep(rows)
        hidden_BD = _step(model, tokens_B, [s.length - 1 for s in live], cache)


class _Sequence:
    """One sequence while it grows. ``length`` counts prompt and new tokens."""

    def __init__(self, index: int, start: list[int], limit: int, tokenizer: Tokenizer, options: GenerationOptions):
        self.index, self.length, self.limit = index, len(start), limit
        self.left = options.max_new_tokens
        self.stop_ids = tokenizer.stop_ids
        self.text = AnswerText(tokenizer, options.stop, begins=tokenizer.is_special(start[-1]))
        self.generator = sequence_generator(options.seed, index)
        self.finish: Finish | None = None

    def accept(self, token: int) -> TokenEvent:
        """Count the token, and say what it brings."""
        self.length += 1
        self.left -= 1
        text = "" if token in self.stop_ids else self.text.push(token)
        self.finish = self._reason(token)
        if self.finish not in (None, "stop text"):
            text += self.text.finish()
        return TokenEvent(self.index, token, text, self.finish)

    def _reason(self, token: int) -> Finish | None:
        if token in self.stop_ids:
            return "end token"
        if self.text.stopped:
            return "stop text"
        if self.left == 0:
            return "max tokens"
        return "context full" if self.length == self.limit else None


def _prefill(model: Decoder, prompts: list[list[int]], cache: KeyValueCache) -> Tensor:
    """Write the prompts into the cache; the hidden states [B, D] of their last tokens."""
    weight = model.embedding.weight
    lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=weight.device)
    longest = max(map(len, prompts))
    padded = [prompt + [prompt[-1]] * (longest - len(prompt)) for prompt in prompts]
    tokens_BS = torch.tensor(padded, device=weight.device)
    last_BD = weight.new_zeros(len(prompts), weight.shape[1])
    for start in range(0, longest, PREFILL_TOKENS):
        part_BS = tokens_BS[:, start : start + PREFILL_TOKENS]
        positions_BS = torch.arange(start, start + part_BS.shape[1], device=weight.device).expand(part_BS.shape)
        hidden_BSD = _forward(model, part_BS, positions_BS, cache)
        rows_B, places_B = torch.where(positions_BS == lengths_B[:, None] - 1)
        last_BD[rows_B] = hidden_BSD[rows_B, places_B]
    return last_BD


def _step(model: Decoder, tokens_B: Tensor, positions: list[int], cache: KeyValueCache) -> Tensor:
    """Put one token of each sequence at its position; the hidden states [B, D]."""
    cache.make_room(max(positions) + 1)
    positions_BS = torch.tensor(positions, device=tokens_B.device)[:, None]
    return _forward(model, tokens_B[:, None], positions_BS, cache)[:, 0]


def _forward(model: Decoder, tokens_BS: Tensor, positions_BS: Tensor, cache: KeyValueCache) -> Tensor:
    hidden_BSD, _ = model(
        tokens_BS,
        dtype=model.embedding.weight.dtype,
        positions_BS=positions_BS,
        allowed_BST=cache.allowed(positions_BS),
        caches=cache.layers,
    )
    return hidden_BSD
