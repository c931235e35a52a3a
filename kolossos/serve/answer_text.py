"""The text of one answer as its tokens arrive: whole characters only, and nothing that may belong to a stop text."""

from collections.abc import Sequence

from kolossos.data.tokenizer import StreamDecoder, Tokenizer


class AnswerText:
    """Tokens in, pieces of text out. A piece is held back while it may be the beginning of a stop text."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], begins: bool = False):
        """``begins``: the answer is the beginning of a text, not the continuation of one."""
        self._decoder = StreamDecoder(tokenizer, begins)
        self._stop = stop
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that is certain after this token. Once a stop text is complete, ``stopped`` is true."""
        return self._release(self._decoder.push(token))

    def finish(self) -> str:
        """The rest, when no token will come any more."""
        text = self._release(self._decoder.flush()) + self._held
        self._held = ""
        return text

    def _release(self, piece: str) -> str:
        text = self._held + piece
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that is a beginning of ``stop``, but not all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
