"""Jinja's sandbox with bounds: on steps of ranges, on time, on what one operation may make.

A template comes with a model, so it is looked upon as a stranger's program. What is bounded: ranges, calls and
attributes by number and time; sums, repetitions, powers, formats and replacements by size; the text by length. Loops
over lists that the template itself writes out, and does nothing in, are not.
"""

import functools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

_WIDE = re.compile(r"[%{][^%{}]*(?:\d{6}|\*)")
"""A width of six digits in a format, or one that is given beside it."""


class _Generation(Extension):
    """``{% generation %}``, which marks the assistant's text for training, says nothing here."""

    tags = {"generation"}  # noqa: RUF012  jinja2 reads it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The block's body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Joins(CodeGenerator):
    """Writes ``a ~ b`` so that the sandbox hears of it."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that templates of models are written for."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _Joins

    def __init__(self, most_steps: int, seconds: float, longest: int) -> None:
        """most_steps, seconds: of one rendering. longest: of what one operation makes."""
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self._most_steps, self._seconds, self._longest_made = most_steps, seconds, longest
        self._left = threading.local()
        self.filters["tojson"] = to_json
        for name in ("center", "indent", "format", "replace", "join", "batch", "slice", "wordwrap"):
            self.filters[name] = self._bounded(name, self.filters[name])
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

    def _bounded(self, name: str, made: Any) -> Any:
        """A filter that refuses to make much of little. (Those that jinja gives its context to keep their mark.)"""

        @functools.wraps(made)
        def checked(*arguments: Any, **named: Any) -> Any:
            self._step()
            values = [*arguments, *named.values()]
            self._require_narrow(*values)
            texts = [value for value in values if isinstance(value, str)]
            if name == "replace" and len(texts) > 2:
                found = texts[-3].count(texts[-2]) if texts[-2] else len(texts[-3]) + 1
                self._require_short(found * len(texts[-1]))
            if name == "join" and texts:
                self._require_short(len(texts[-1]) * max(len(v) for v in values if hasattr(v, "__len__")))
            return made(*arguments, **named)

        return checked

    def _require_short(self, length: int) -> None:
        if length > self._longest_made:
            raise SecurityError("it asks for too long a text")

    def _require_narrow(self, *values: Any) -> None:
        """No huge width, as a number or written in a format."""
        for value in values:
            if isinstance(value, int) and abs(value) > self._longest_made:
                raise SecurityError("it asks for too wide a text")
            if isinstance(value, str) and ("%" in value or "{" in value) and _WIDE.search(value):
                raise SecurityError("it asks for too wide a text")

    def joined(self, parts: tuple[Any, ...]) -> str:
        """``a ~ b``."""
        texts = [str(part) for part in parts]
        self._require_short(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Sums, repetitions, formats and powers, of bounded size."""
        sized = [value for value in (left, right) if isinstance(value, str | list | tuple)]
        if operator == "**" and not (abs(left) <= 2**32 and abs(right) <= 64):
            raise SecurityError("it asks for too large a power")
        if operator == "*" and sized:
            counts = [value for value in (left, right) if isinstance(value, int)]
            self._require_short(len(sized[0]) * max(counts, default=0))
        if operator == "+":
            self._require_short(sum(map(len, sized)))
        if operator == "%" and isinstance(left, str):
            self._require_narrow(left, *(right if isinstance(right, tuple) else (right,)))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *arguments: Any, **named: Any) -> Any:
        """A call: counted, and none with a huge width."""
        self._step()
        method = getattr(obj, "__wrapped__", obj)  # the sandbox has wrapped a text's format
        name, text = getattr(method, "__name__", ""), getattr(method, "__self__", None)
        self._require_narrow(*arguments, text if name in ("format", "format_map") else None)
        if name in ("join", "replace") and isinstance(text, str):
            self._bounded(name, lambda *_: None)(*((*arguments, text) if name == "join" else (text, *arguments)))
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
