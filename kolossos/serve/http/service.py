"""What the routes share: the model, the engine, and how a body becomes requests to it."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from kolossos.serve.engine.request import Engine, Event, Request, Sampling
from kolossos.serve.http.answers import Answer, Piece
from kolossos.serve.http.asking import Asked, Line
from kolossos.serve.http.grammar import Grammars, SchemaGrammar
from kolossos.serve.http.metrics import Meters
from kolossos.serve.http.prompt.prompts import Prompts
from kolossos.serve.http.prompt.served import Options, Served
from kolossos.serve.http.wire.fields import LARGEST_SEED, Sampled
from kolossos.serve.http.wire.refusals import Refusal, invalid


@dataclass
class Service:
    """One model, one engine, one server. draining: nothing new is taken."""

    engine: Engine
    served: Served
    options: Options
    draining: bool = False
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.meters = Meters(self.engine.status)
        self.line = Line(self.engine, self.meters)
        self.prompts = Prompts(self.served, self.engine.context, self.engine.vocab_size)
        self.grammars = Grammars(self.served.tokenizer, self.engine.vocab_size)

    def require_model(self, name: str | None) -> None:
        """Refusal 404 for a model that is not served; None means the one that is."""
        if name not in (None, self.served.name):
            message = f"there is no model {name!r} here; there is {self.served.name!r}"
            raise Refusal(404, message, param="model", code="model_not_found")

    async def grammar(self, schema: Any, param: str, n: int = 1) -> list[SchemaGrammar | None]:
        """A grammar for each of ``n`` answers; None each where ``schema`` is None. Refusal 400 for a bad schema."""
        if schema is None:
            return [None] * n
        return await asyncio.to_thread(lambda: [self.grammars.make(schema, param) for _ in range(n)])

    def sampling(self, body: Sampled) -> list[Sampling]:
        """How each of the ``n`` answers is chosen; without a seed, one by chance. Refusal 400 for unknown tokens."""
        if wrong := next((i for i in body.logit_bias if i >= self.engine.vocab_size), None):
            raise invalid("logit_bias", f"{wrong} is no token of this model, which has {self.engine.vocab_size:,}")
        seed = secrets.randbelow(LARGEST_SEED) if body.seed is None else body.seed % LARGEST_SEED
        return [
            Sampling(
                temperature=body.temperature,
                top_k=body.top_k if body.top_k > 0 else None,
                top_p=body.top_p,
                min_p=body.min_p,
                presence_penalty=body.presence_penalty,
                frequency_penalty=body.frequency_penalty,
                logit_bias=body.logit_bias,
                seed=seed,
                sample=i,
            )
            for i in range(body.n)
        ]

    def end_tokens(self, ignored: bool = False) -> frozenset[int]:
        """The tokens that end an answer."""
        return frozenset() if ignored else self.served.tokenizer.stop_ids

    def score(self, prompt: tuple[int, ...], **asked: Any) -> Request:
        """A request that generates nothing."""
        return Request(prompt, max_tokens=0, **asked)


class Answers:
    """The answers to some requests, told piece by piece in the order in which they come."""

    def __init__(self, service: Service, requests: Sequence[Request], stop: Sequence[str] = (), param: str = "prompt"):
        self._service, self._requests, self._param = service, requests, param
        self.each = [Answer(request, service.served.tokenizer, stop) for request in requests]

    async def pieces(self) -> AsyncGenerator[list[tuple[int, Piece]], None]:
        """Pieces, each with the index of its request, as many at a time as have come.

        A fault raises its Refusal after what came before it has been told; at once, where nothing was told yet.
        """
        told_any = False
        with self._service.line.ask(self._requests, self._param) as asked:
            async for batch in asked.batches():
                told, fault = self._told(asked, batch)
                if told and (told_any or fault is None):
                    told_any = True
                    yield told
                if fault is not None:
                    raise fault

    def _told(self, asked: Asked, batch: list[tuple[int, Event]]) -> tuple[list[tuple[int, Piece]], Refusal | None]:
        told = []
        for index, event in batch:
            answer = self.each[index]
            if answer.ended:  # by a stop text in this batch
                continue
            try:
                told.append((index, answer.hear(event)))
            except Refusal as fault:
                return told, fault
            if answer.ended:
                asked.drop(index)
        return told, None

    def usage(self, n: int) -> dict[str, Any]:
        """Tokens used, where each ``n`` answers in a row have one prompt, which counts once."""
        prompt = sum(len(request.prompt) for request in self._requests[::n])
        new = sum(answer.new_tokens for answer in self.each)
        cached = sum(answer.cached_tokens for answer in self.each[::n])
        return {
            "prompt_tokens": prompt,
            "completion_tokens": new,
            "total_tokens": prompt + new,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


@dataclass
class Gathered:
    """A whole answer, of its pieces."""

    text: str = ""
    tokens: list[Any] = field(default_factory=list)
    prompt: Any = None
    embedding: tuple[float, ...] | None = None
    finish: str | None = None

    def add(self, piece: Piece) -> None:
        """One more piece."""
        self.text += piece.text
        self.tokens += piece.tokens
        self.finish = piece.finish or self.finish
        if piece.started is not None:
            self.prompt, self.embedding = piece.started.prompt, piece.started.embedding


async def gather(answers: Answers) -> list[Gathered]:
    """Every answer, whole."""
    found = [Gathered() for _ in answers.each]
    async with aclosing(answers.pieces()) as pieces:
        async for batch in pieces:
            for index, piece in batch:
                found[index].add(piece)
    return found


def new_id(kind: str) -> str:
    """A name for an answer, such as chatcmpl-…"""
    return f"{kind}{uuid.uuid4().hex}"
