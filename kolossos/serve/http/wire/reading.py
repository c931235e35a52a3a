"""Bodies of requests: read within bounds, parsed without holding up other requests, checked field by field.

A large body is parsed in a thread. C parsers hold Python's lock while they work, for a second where a body is made of
millions of empty lists, so one with very many marks goes through Python's own parser, which lets others run, and ends
at a number of values.
"""

import asyncio
import json
from collections.abc import Callable
from json import decoder, scanner
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from kolossos.serve.http.wire.fields import Asked
from kolossos.serve.http.wire.refusals import Refusal, invalid

IN_A_THREAD = 64 * 1024
"""Bytes from which a body is parsed in a thread."""
MANY_MARKS = 50_000
MOST_VALUES = 500_000
DEEPEST = 64

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, kind: type[Body], largest: int) -> Body:
    """The JSON body of ``request`` as a ``kind``.

    Raises:
        Refusal: 413 above ``largest`` bytes, 415 for what does not say that it is JSON, 400 naming the field.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":  # what a page of another site may send unasked is none of these
        raise Refusal(415, "the body must be JSON, with Content-Type: application/json")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > largest:
            raise too_large(largest)
    if len(raw) < IN_A_THREAD:
        return check(parse(bytes(raw)), kind)
    return await asyncio.to_thread(lambda: check(parse(bytes(raw)), kind))


def too_large(largest: int) -> Refusal:
    """413."""
    return Refusal(413, f"a request has at most {largest:,} bytes", code="request_too_large")


def parse(raw: bytes) -> Any:
    """The value that ``raw`` is the JSON of; Refusal 400 for what is no JSON, too deep or of too many values."""
    try:
        marks = sum(raw.count(mark) for mark in (b"[", b"{", b","))
        values = from_json(raw, allow_inf_nan=False) if marks < MANY_MARKS else _parse_slowly(raw.decode())
    except RecursionError:
        raise invalid(None, "the body is nested too deeply") from None
    except ValueError as error:
        raise invalid(None, f"the body is no JSON: {error}", "invalid_json") from None
    if depth(values, DEEPEST) > DEEPEST:
        raise invalid(None, f"the body is nested more than {DEEPEST} deep")
    return values


def depth(value: Any, most: int) -> int:
    """How deep lists and objects are nested in ``value``, or ``most`` + 1."""
    level, found = [value], 0
    while level and found <= most:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        found += 1
    return found


def _parse_slowly(text: str) -> Any:
    left = MOST_VALUES

    def counted(scan: Callable[[str, int], Any]) -> Callable[[str, int], Any]:
        def scan_one(string: str, at: int) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise invalid(None, f"the body holds more than {MOST_VALUES:,} values")
            return scan(string, at)

        return scan_one

    def no_number(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    made: Any = json.JSONDecoder(parse_constant=no_number)
    array, an_object = decoder.JSONArray, decoder.JSONObject  # type: ignore[attr-defined]
    made.parse_array = lambda start, scan, *more: array(start, counted(scan), *more)
    made.parse_object = lambda start, strict, scan, *more: an_object(start, strict, counted(scan), *more)
    made.scan_once = scanner.py_make_scanner(made)  # type: ignore[attr-defined]
    return made.decode(text)


def check(values: Any, kind: type[Body]) -> Body:
    """``values`` as a ``kind``; Refusal 400 that names the first field that is wrong."""
    if not isinstance(values, dict):
        raise invalid(None, "the body must be a JSON object")
    if issubclass(kind, Asked):
        values = kind.sift(values)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        head, colon, rest = message.partition(": ")
        place = first["loc"]
        if first["type"] == "value_error" and colon and head.isidentifier():  # of a whole object: one of its fields
            place, message = (*place, head), rest
        param = _named(place) or None
        if first["type"] == "extra_forbidden":
            raise invalid(param, "this field is not known here", "unknown_parameter") from None
        if first["type"] == "missing":
            raise invalid(param, "this field is needed", "missing_required_parameter") from None
        raise invalid(param, message, "invalid_value") from None


def _named(place: tuple[int | str, ...]) -> str:
    """messages[0].role"""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")
