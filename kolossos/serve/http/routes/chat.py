"""/v1/chat/completions: the next turn of a conversation."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from starlette.responses import Response

from kolossos.serve.engine.request import Request
from kolossos.serve.http.answers import Piece, Placed
from kolossos.serve.http.grammar import SchemaGrammar
from kolossos.serve.http.logprobs import chat_logprobs
from kolossos.serve.http.service import Answers, Gathered, Service, gather, new_id
from kolossos.serve.http.wire.answering import DONE, Stream, Whole, data
from kolossos.serve.http.wire.bodies import ChatBody


async def chat(service: Service, body: ChatBody) -> Response:
    """The answer to ``body``; Refusal for what cannot be done."""
    service.require_model(body.model)
    prompt = await service.prompts.chat(body.messages)
    schema = body.response_format.schema_asked if body.response_format else None
    work = _Chat(service, body, prompt, await service.grammar(schema, "response_format", body.n))
    return Stream(work.events()) if body.stream else Whole(work.whole)


class _Chat:
    """The choices of one request."""

    def __init__(
        self, service: Service, body: ChatBody, prompt: tuple[int, ...], grammars: Sequence[SchemaGrammar | None]
    ) -> None:
        self._tokenizer, self._body, self._prompt = service.served.tokenizer, body, prompt
        asked = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
        requests = [
            Request(
                prompt,
                service.prompts.room(prompt, asked, "messages"),
                chosen,
                service.end_tokens(body.ignore_eos),
                logprobs=(body.top_logprobs or 0) if body.logprobs else None,
                grammar=grammar,
            )
            for chosen, grammar in zip(service.sampling(body), grammars, strict=True)
        ]
        self._answers = Answers(service, requests, body.stop, "messages")
        self._head = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": service.served.name}

    async def whole(self) -> dict[str, Any]:
        found = await gather(self._answers)
        choices = [self._whole_choice(index, one) for index, one in enumerate(found)]
        answer = {
            **self._head,
            "object": "chat.completion",
            "choices": choices,
            "usage": self._answers.usage(self._body.n),
        }
        return answer | ({"prompt_token_ids": list(self._prompt)} if self._body.return_token_ids else {})

    def _whole_choice(self, index: int, one: Gathered) -> dict[str, Any]:
        message = {"role": "assistant", "content": one.text, "refusal": None}
        return {"index": index, "message": message, **self._rest(one.tokens, one.finish)}

    async def events(self) -> AsyncGenerator[str, None]:
        usage: dict[str, Any] = {"usage": None} if self._body.tells_usage else {}
        head = {**self._head, "object": "chat.completion.chunk"}
        async with aclosing(self._answers.pieces()) as pieces:
            async for batch in pieces:
                choices = [choice for index, piece in batch for choice in self._told(index, piece)]
                if choices:
                    yield "".join(data({**head, "choices": [choice], **usage}) for choice in choices)
        if self._body.tells_usage:
            yield data({**head, "choices": [], "usage": self._answers.usage(self._body.n)})
        yield DONE

    def _told(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        """The chunks that say a piece: first the role, in the last one no text but how it ended."""
        found = []
        if piece.started is not None:
            delta: dict[str, Any] = {"role": "assistant", "content": ""}
            found.append({"index": index, "delta": delta, "logprobs": None, "finish_reason": None})
        if piece.text or piece.tokens:
            found.append({"index": index, "delta": {"content": piece.text}, **self._rest(piece.tokens, None)})
        if piece.finish:
            found.append({"index": index, "delta": {}, "logprobs": None, "finish_reason": piece.finish})
        return found

    def _rest(self, placed: list[Placed], finish: str | None) -> dict[str, Any]:
        logprobs = chat_logprobs(self._tokenizer, placed) if self._body.logprobs else None
        tokens = {"token_ids": [p.token for p in placed]} if self._body.return_token_ids else {}
        return {"logprobs": logprobs, "finish_reason": finish, **tokens}
