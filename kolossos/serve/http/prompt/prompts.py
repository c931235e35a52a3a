"""Prompts as token ids, made in threads so that nothing else waits for a long one."""

import asyncio
from collections.abc import Sequence
from functools import cached_property

from kolossos.errors import InputError
from kolossos.serve.http.prompt.served import Served
from kolossos.serve.http.wire.bodies import Message
from kolossos.serve.http.wire.refusals import Refusal, invalid
from kolossos.serve.transcript import Role, Turn

Ids = tuple[int, ...]
SHORT = 2_000
"""Characters up to which a text is encoded at once: less than handing it to a thread takes."""


class Prompts:
    """Texts, token ids and conversations for one model with a context of ``context`` tokens and ``vocab_size`` ids."""

    def __init__(self, served: Served, context: int, vocab_size: int) -> None:
        self.served, self.context, self.vocab_size = served, context, vocab_size

    async def given(self, prompts: Sequence[str | Ids], param: str, begin: bool = True) -> list[Ids]:
        """Token ids of each prompt, a text or ids; ``begin``: after the token that begins a text.

        Raises:
            Refusal: 400 for ids that the model has not, for an empty prompt, and for one that is too long.
        """
        length = sum(len(prompt) for prompt in prompts)
        if length <= SHORT:
            return [self._ids(prompt, param, begin) for prompt in prompts]
        return await asyncio.to_thread(lambda: [self._ids(prompt, param, begin) for prompt in prompts])

    async def chat(self, messages: Sequence[Message], param: str = "messages", ask: bool = True) -> Ids:
        """Token ids of a conversation; Refusal 400 where it has no form, or is too long."""
        roles: dict[str, Role] = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
        turns = [Turn(roles[message.role], message.content) for message in messages]
        self._require_short("".join(turn.text for turn in turns), param)
        try:
            ids = await asyncio.to_thread(self.served.chat.tokens, turns, ask)
        except InputError as error:
            raise invalid(param, str(error)) from None
        return self._fitting(tuple(ids), param)

    def _ids(self, prompt: str | Ids, param: str, begin: bool) -> Ids:
        if not isinstance(prompt, str):
            if wrong := next((i for i in prompt if i >= self.vocab_size), None):
                raise invalid(param, f"{wrong} is no token of this model, which has {self.vocab_size:,}")
            return self._fitting(prompt, param)
        self._require_short(prompt, param)
        tokenizer = self.served.tokenizer
        ids = tokenizer.encode_batch([prompt])[0] if prompt else []  # a batch lets other threads run
        return self._fitting((*(tokenizer.begin_ids if begin else ()), *ids), param)

    def _fitting(self, ids: Ids, param: str) -> Ids:
        if not ids:
            raise invalid(param, "an empty prompt gives nothing to continue")
        if len(ids) > self.context:
            raise self.too_long(f"{len(ids):,}", param)
        return ids

    def _require_short(self, text: str, param: str) -> None:
        """Refuse a text that has more bytes than the longest tokens of a whole context, before it is encoded."""
        least = -(-len(text) // self._longest_token)
        if least > self.context:
            raise self.too_long(f"at least {least:,}", param)

    @cached_property
    def _longest_token(self) -> int:
        tokenizer = self.served.tokenizer
        return max(len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size))

    def too_long(self, tokens: str, param: str) -> Refusal:
        """400: the prompt does not fit."""
        message = f"this model's maximum context length is {self.context} tokens, and the prompt has {tokens}"
        return invalid(param, message, "context_length_exceeded")

    def room(self, prompt: Ids, asked: int | None, param: str) -> int:
        """Tokens that an answer of at most ``asked`` may have after ``prompt``; Refusal 400 where there is no room."""
        if asked == 0:
            return 0
        left = self.context - len(prompt)
        if left < 1:
            raise self.too_long(f"{len(prompt):,} and leaves no room for an answer", param)
        return left if asked is None else min(asked, left)
