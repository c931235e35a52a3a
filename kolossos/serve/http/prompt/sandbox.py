"""Jinja's sandbox with bounds: on steps of ranges, on time, on what one operation may make.

A template comes with a model, so it is looked upon as a stranger's program. What is bounded: ranges, calls and
attributes by number and time, repetition and powers by size, the text by length. An empty loop over lists that the
template itself writes out is not.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError


class _Generation(Extension):
    """``{% generation %}``, which marks the assistant's text for training, says nothing here."""

    tags = {"generation"}  # noqa: RUF012  jinja2 reads it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The block's body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that templates of models are written for."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, most_steps: int, seconds: float, longest: int) -> None:
        """most_steps, seconds: of one rendering. longest: of what one operation makes."""
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self._most_steps, self._seconds, self._longest_made = most_steps, seconds, longest
        self._left = threading.local()
        self.filters["tojson"] = to_json
        self.filters.update({name: self._bounded(self.filters[name]) for name in ("center", "indent")})
        self.globals.update(raise_exception=_refuse, strftime_now=now, range=self._range)

    @contextmanager
    def budget(self) -> Iterator[None]:
        """Begin to count, for this thread."""
        self._left.steps, self._left.ends = self._most_steps, time.monotonic() + self._seconds
        yield

    def _step(self, steps: int = 1) -> None:
        left = getattr(self._left, "steps", None)
        if left is None:  # while a template is read
            return
        self._left.steps = left - steps
        if left < steps or (left % 100 == 0 and time.monotonic() > self._left.ends):
            raise SecurityError("it takes too many steps")

    def _range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        self._step(len(numbers) + 1)
        return numbers

    def _bounded(self, made: Any) -> Any:
        def checked(text: Any, width: Any = 0, *more: Any, **named: Any) -> Any:
            if isinstance(width, int) and width > 10_000:
                raise SecurityError("it asks for too wide a text")
            return made(text, width, *more, **named) if width else made(text, *more, **named)

        return checked

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Repetition and powers, of bounded size."""
        if operator == "**" and not (abs(left) <= 2**32 and abs(right) <= 64):
            raise SecurityError("it asks for too large a power")
        if operator == "*":
            sized = [value for value in (left, right) if isinstance(value, str | list | tuple)]
            counts = [value for value in (left, right) if isinstance(value, int)]
            if sized and counts and len(sized[0]) * counts[0] > self._longest_made:
                raise SecurityError("it asks for too long a text")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *arguments: Any, **named: Any) -> Any:
        """A call: counted, and none with a huge width."""
        self._step()
        if any(isinstance(value, int) and abs(value) > self._longest_made for value in arguments):
            raise SecurityError("it asks for too much")
        return super().call(context, obj, *arguments, **named)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An attribute: counted."""
        self._step()
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An entry: counted."""
        self._step()
        return super().getitem(obj, argument)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    """The filter ``tojson`` as templates of models know it: without marks for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def now(form: str) -> str:
    """The function ``strftime_now``."""
    return datetime.now().strftime(form)
