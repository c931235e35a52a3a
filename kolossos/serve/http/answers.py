"""From the events of one answer to what is told of it: text, the tokens of that text, how it ended.

What is told never has to be taken back. A token is told once a character of its text is certain, so what a stop text
cuts off, text and tokens, has not been told before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kolossos.data.tokenizer import StreamDecoder, Tokenizer
from kolossos.serve.answer_text import AnswerText
from kolossos.serve.engine.request import Ended, Event, Request, Scored, Started, Token
from kolossos.serve.http.wire.refusals import failed, shutting_down


@dataclass(frozen=True)
class Placed:
    """A token of an answer, and how many characters of it stand before."""

    token: int
    start: int
    scored: Scored | None


@dataclass
class Piece:
    """What one event adds. ``finish``: "stop" or "length", in the last piece."""

    text: str = ""
    tokens: list[Placed] = field(default_factory=list)
    started: Started | None = None
    finish: str | None = None


class Answer:
    """One answer as it comes."""

    def __init__(self, request: Request, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        begins = tokenizer.is_special(request.prompt[-1])
        self._text = AnswerText(tokenizer, stop, begins)
        self._decoder = StreamDecoder(tokenizer, begins)
        self._end_tokens = request.end_tokens
        self._decoded = self._told = 0
        self._pending: list[Placed] = []
        self.new_tokens = self.cached_tokens = 0
        self.ended = False
        """Nothing is wanted any more: an end, or a stop text."""

    def hear(self, event: Event) -> Piece:
        """What ``event`` adds; Refusal 500 or 503 where the answer ends by a fault or with the server."""
        if isinstance(event, Started):
            self.cached_tokens = event.cached_tokens
            return Piece(started=event)
        if isinstance(event, Token):
            return self._token(event)
        return self._end(event)

    def _token(self, event: Token) -> Piece:
        self.new_tokens += 1
        self._pending.append(Placed(event.token, self._decoded, event.scored))
        if event.token in self._end_tokens:
            return Piece()
        self._decoded += len(self._decoder.push(event.token))
        piece = Piece(self._text.push(event.token))
        self._told += len(piece.text)
        piece.tokens = self._certain()
        if self._text.stopped:
            self._pending.clear()
            self.ended, piece.finish = True, "stop"
        return piece

    def _end(self, event: Ended) -> Piece:
        self.ended = True
        if event.reason == "failed":
            raise failed(event.message)
        if event.reason == "cancelled":
            raise shutting_down()
        piece = Piece(self._text.finish(), self._pending, finish=event.reason)
        self._pending = []
        return piece

    def _certain(self) -> list[Placed]:
        n = next((i for i, placed in enumerate(self._pending) if placed.start >= self._told), len(self._pending))
        told, self._pending = self._pending[:n], self._pending[n:]
        return told
