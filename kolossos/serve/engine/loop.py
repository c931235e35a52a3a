"""The engine: one thread that takes requests, plans a pass, does it, chooses tokens, tells, and begins again.

A pass holds one token of every answer under way and, with what is left of its budget, pieces of prompts. A request
enters when there are pages for all that it may ever need: none is ever put back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from kolossos.errors import InputError
from kolossos.serve.engine.batch import PAGE, Batch, Network, Part
from kolossos.serve.engine.choose import Unusable
from kolossos.serve.engine.pages import PagePool
from kolossos.serve.engine.request import Busy, Ended, Event, Request, Status, Stopped, TooLong
from kolossos.serve.engine.sequence import Sequence

REMEMBERED = 256  # newest batch sizes and waits that a status tells
AFTER_S = 1.0


class EngineLoop:
    """An `Engine` on a `Network`.

    tokens_a_pass: at most, answers and prompts together. most_at_once: answers under way. most_waiting: requests that
    have not begun.
    """

    def __init__(self, network: Network, *, tokens_a_pass: int = 160, most_at_once: int = 32, most_waiting: int = 1024):
        self.vocab_size, self.context = network.vocab_size, network.context
        self._network, self._pool = network, PagePool(network.pages)
        self._tokens_a_pass, self._most_at_once, self._most_waiting = tokens_a_pass, most_at_once, most_waiting
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._cancelled: set[int] = set()
        self._changed = threading.Condition()
        self._next, self._taking, self._ending, self._fault = 1, True, False, ""
        self._pass_since: float | None = None
        self._sums = dict.fromkeys(
            ("requests", "cancelled", "failed", "prompt_tokens", "cached_tokens", "new_tokens", "steps"), 0
        )
        self._busy_s = 0.0
        self._batch_sizes: deque[int] = deque(maxlen=REMEMBERED)
        self._first_token_s: deque[float] = deque(maxlen=REMEMBERED)
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, hear: Callable[[Event], None]) -> int:
        """See `Engine`."""
        most = self._most_tokens(request)
        sequence = Sequence(request, most, hear, time.monotonic())
        if sequence.pages_needed > self._pool.pages:
            room, needed = self._pool.pages * PAGE, len(request.prompt) + most
            raise TooLong(f"prompt and answer need {needed} places for keys and values and there are {room}")
        with self._changed:
            if not self._taking:
                raise Stopped(self._fault or "the engine is being shut down")
            if len(self._waiting) >= self._most_waiting:
                raise Busy(AFTER_S)
            sequence.number = self._next
            self._next += 1
            self._waiting.append(sequence)
            self._sums["requests"] += 1
            self._changed.notify_all()
        return sequence.number

    def cancel(self, number: int) -> None:
        """See `Engine`."""
        with self._changed:
            if any(s.number == number for s in (*self._waiting, *self._running)):
                self._cancelled.add(number)
                self._changed.notify_all()

    def status(self) -> Status:
        """See `Engine`."""
        since = self._pass_since
        with self._changed:
            return Status(
                alive=self._thread.is_alive() and not self._fault,
                stalled_s=0.0 if since is None else time.monotonic() - since,
                running=len(self._running),
                waiting=len(self._waiting),
                pages=self._pool.pages,
                pages_used=self._pool.used,
                pages_cached=self._pool.cached,
                page_tokens=PAGE,
                busy_s=self._busy_s,
                batch_sizes=tuple(self._batch_sizes),
                first_token_s=tuple(self._first_token_s),
                **self._sums,
            )

    def close(self, drain_s: float = 0.0) -> None:
        """See `Engine`."""
        until = time.monotonic() + drain_s
        with self._changed:
            self._taking = False
            while (self._running or self._waiting) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._ending = True
            self._changed.notify_all()
        self._thread.join()

    def _most_tokens(self, request: Request) -> int:
        """Tokens that the answer may have; TooLong if it can have none of those asked for."""
        prompt = len(request.prompt)
        assert prompt > 0, "an empty prompt"
        if prompt + min(request.max_tokens, 1) > self.context:
            raise TooLong(f"the prompt has {prompt} tokens and the model's context {self.context}")
        return min(request.max_tokens, self.context - prompt)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._running or self._waiting or self._ending):
                    self._changed.notify_all()
                    self._changed.wait()
                if self._ending:
                    self._end_all(Ended("cancelled"))
                    return
                self._drop_cancelled()
                parts = self._plan()
            if not parts:
                continue
            try:
                self._pass(parts)
            except Exception as fault:  # not a request's fault: nothing can be trusted after it
                with self._changed:
                    self._taking, self._fault = False, f"the engine has failed: {type(fault).__name__}: {fault}"
                    self._end_all(Ended("failed", self._fault))
                return

    def _end_all(self, how: Ended) -> None:
        for sequence in (*self._running, *self._waiting):
            self._end(sequence, how)
        self._running.clear()
        self._waiting.clear()

    def _drop_cancelled(self) -> None:
        if not self._cancelled:
            return
        for sequence in (*self._running, *self._waiting):
            if sequence.number in self._cancelled:
                self._end(sequence, Ended("cancelled"))
        self._running = [s for s in self._running if s.number not in self._cancelled]
        self._waiting = deque(s for s in self._waiting if s.number not in self._cancelled)
        self._cancelled.clear()

    def _end(self, sequence: Sequence, how: Ended) -> None:
        if how.reason == "failed":
            for page in sequence.pages:
                self._pool.hide(page)
        idle = self._pool.let_go(sequence.pages)
        if how.reason == "failed" and idle:
            self._network.forget(idle)
        sequence.pages = []
        if how.reason in ("cancelled", "failed"):
            self._sums[how.reason] += 1
        sequence.hear(how)

    def _plan(self) -> list[tuple[Sequence, Part]]:
        """The next pass: each answer's token, then prompts in the order in which they came."""
        parts = [(s, s.part(1)) for s in self._running if not s.reading]
        left = max(self._tokens_a_pass - len(parts), 1)
        for sequence in self._running:
            if sequence.reading and left > 0:
                parts.append((sequence, sequence.part(left)))
                left -= len(parts[-1][1].ids)
        begun = {s.request.prompt[:PAGE] for s in self._running if s.reading}
        while left > 0 and self._waiting and len(self._running) < self._most_at_once:
            sequence = self._waiting[0]
            beginning = sequence.request.prompt[:PAGE]
            if (beginning in begun and not sequence.reads_whole) or not sequence.enter(self._pool):
                break  # what is being read now is found when it has been
            begun.add(beginning)
            self._running.append(self._waiting.popleft())
            parts.append((sequence, sequence.part(left)))
            left -= len(parts[-1][1].ids)
        return parts

    def _pass(self, parts: list[tuple[Sequence, Part]]) -> None:
        begin = self._pass_since = time.monotonic()
        embeds = any(s.request.embed for s, _ in parts)
        logits, hidden = self._network.forward(Batch.of([part for _, part in parts]), embeds)
        self._sums["steps"] += 1
        self._batch_sizes.append(len(parts))
        row = token = 0
        ended = []
        for sequence, part in parts:
            rows = logits[row : row + len(part.wanted)]
            states = None if hidden is None else hidden[token : token + len(part.ids)]
            row, token = row + len(part.wanted), token + len(part.ids)
            was_reading = sequence.reading
            try:
                how = sequence.take(part, rows, states, self._pool)
            except (Unusable, InputError) as reason:  # of the model's numbers, or of the grammar
                how = Ended("failed", str(reason))
            self._count(sequence, part, was_reading)
            if how is not None:
                ended.append((sequence, how))
        with self._changed:
            for sequence, how in ended:
                self._running.remove(sequence)
                self._end(sequence, how)
            self._changed.notify_all()
        self._busy_s += time.monotonic() - begin
        self._pass_since = None

    def _count(self, sequence: Sequence, part: Part, was_reading: bool) -> None:
        if was_reading:
            self._sums["prompt_tokens"] += len(part.ids)
            if part.position == sequence.cached:
                self._sums["cached_tokens"] += sequence.cached
        if part.wanted and not sequence.reading and sequence.most:
            self._sums["new_tokens"] += 1
            if sequence.first_token_s is None:
                sequence.first_token_s = time.monotonic() - sequence.asked_s
                self._first_token_s.append(sequence.first_token_s)
