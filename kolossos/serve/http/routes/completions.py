"""/v1/completions: prompts continued, and scored."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from kolossos.serve.engine.request import Request, Scored
from kolossos.serve.http.answers import Piece, Placed
from kolossos.serve.http.logprobs import completion_logprobs, offsets
from kolossos.serve.http.service import Answers, Gathered, Service, gather, new_id
from kolossos.serve.http.wire.answering import DONE, Stream, Whole, data
from kolossos.serve.http.wire.bodies import CompletionBody


async def complete(service: Service, body: CompletionBody) -> Response:
    """The answer to ``body``; Refusal for what cannot be done."""
    service.require_model(body.model)
    work = _Completions(service, body, await service.prompts.given(body.prompt, "prompt", body.add_special_tokens))
    return Stream(work.events()) if body.stream else Whole(work.whole)


class _Completions:
    """The choices of one request: ``n`` in a row for each prompt."""

    def __init__(self, service: Service, body: CompletionBody, prompts: list[tuple[int, ...]]) -> None:
        self._tokenizer, self._body, self._prompts = service.served.tokenizer, body, prompts
        sampling = service.sampling(body)
        requests = [
            Request(
                prompt,
                service.prompts.room(prompt, body.max_tokens, "prompt"),
                chosen,
                service.end_tokens(body.ignore_eos),
                logprobs=body.logprobs,
                prompt_logprobs=body.logprobs if body.echo else None,
            )
            for prompt in prompts
            for chosen in sampling
        ]
        self._answers = Answers(service, requests, body.stop)
        self._head = {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": service.served.name,
        }
        self._lengths = [0] * len(requests)
        """Of each choice's text, so far."""

    async def whole(self) -> dict[str, Any]:
        found = await gather(self._answers)
        choices = [self._whole_choice(index, one) for index, one in enumerate(found)]
        return {**self._head, "choices": choices, "usage": self._answers.usage(self._body.n)}

    def _whole_choice(self, index: int, one: Gathered) -> dict[str, Any]:
        echoed, text = self._echo(index, one.prompt)
        return self._choice(index, echoed, text + one.text, one.tokens, len(text), one.finish)

    async def events(self) -> AsyncGenerator[str, None]:
        usage: dict[str, Any] = {"usage": None} if self._body.tells_usage else {}
        async with aclosing(self._answers.pieces()) as pieces:
            async for batch in pieces:
                choices = [choice for index, piece in batch if (choice := self._told(index, piece))]
                if choices:
                    yield "".join(data({**self._head, "choices": [choice], **usage}) for choice in choices)
        if self._body.tells_usage:
            yield data({**self._head, "choices": [], "usage": self._answers.usage(self._body.n)})
        yield DONE

    def _told(self, index: int, piece: Piece) -> dict[str, Any] | None:
        echoed, text = self._echo(index, piece.started.prompt) if piece.started is not None else ([], "")
        self._lengths[index] += len(text)
        if not (text or echoed or piece.text or piece.tokens or piece.finish):
            return None
        return self._choice(index, echoed, text + piece.text, piece.tokens, self._lengths[index], piece.finish)

    def _echo(self, index: int, scored: tuple[Scored | None, ...] | None) -> tuple[list[Any], str]:
        """The prompt's tokens with their scores, and its text, where they were asked for."""
        if not self._body.echo:
            return [], ""
        place = index // self._body.n
        ids, given = self._prompts[place], self._body.prompt[place]
        text = given if isinstance(given, str) else self._tokenizer.decode(ids)
        return list(zip(ids, scored or [None] * len(ids), strict=True)), text

    def _choice(
        self, index: int, echoed: list[Any], text: str, placed: list[Placed], at: int, finish: str | None
    ) -> dict[str, Any]:
        """One choice; ``at``: where in its text the answer's tokens count from."""
        logprobs = None
        if self._body.logprobs is not None:
            scored = [*echoed, *((p.token, p.scored) for p in placed)]
            places = [*offsets(self._tokenizer, (token for token, _ in echoed)), *(at + p.start for p in placed)]
            logprobs = completion_logprobs(self._tokenizer, scored, places)
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}
        if self._body.return_token_ids:
            choice |= {"token_ids": [p.token for p in placed]}
            if not self._body.stream or echoed:
                choice |= {"prompt_token_ids": list(self._prompts[index // self._body.n])}
        return choice
