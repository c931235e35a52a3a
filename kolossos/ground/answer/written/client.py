"""A language model behind a URL that speaks OpenAI's chat interface, with structured output."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kolossos.asking import Unanswered, ask
from kolossos.errors import InputError

LONGEST_REPLY = 1024 * 1024  # bytes


class NoReply(Exception):
    """The model said nothing that can be used: why, in one line."""


@dataclass(frozen=True)
class ChatModel:
    """Where a model answers. ``url``: the interface's base, such as http://127.0.0.1:8000/v1."""

    url: str
    name: str
    key: str | None = None
    timeout_s: float = 120.0

    def reply(self, messages: list[dict[str, str]], schema: dict[str, Any] | None, most_tokens: int) -> str:
        """What the model says, under ``schema`` where one is given; NoReply if it does not answer, or not in full."""
        asked: dict[str, Any] = {
            "model": self.name,
            "messages": messages,
            "temperature": 0,
            "max_tokens": most_tokens,
        }
        if schema is not None:
            form = {"name": "quotations", "strict": True, "schema": schema}
            asked["response_format"] = {"type": "json_schema", "json_schema": form}
        found = _fetch(f"{self.url}/chat/completions", asked, self.key, self.timeout_s)
        try:
            choice = found["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise NoReply("the model's server answered with something that is no chat completion") from None
        if not isinstance(text, str):
            raise NoReply("the model's server answered without a text")
        if schema is not None and choice.get("finish_reason") == "length":
            raise NoReply(f"the model did not come to an end within {most_tokens:,} tokens")
        return text


def connect(url: str, name: str = "", key: str | None = None, timeout_s: float = 120.0) -> ChatModel:
    """The model at ``url``: ``name``, or the first that it lists; InputError if nothing answers there."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"{url!r:.80} is no address of a model; http://HOST:PORT/v1 or a model's folder is needed")
    base = url.rstrip("/") if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1"
    if name:
        return ChatModel(base, name, key, timeout_s)
    try:
        listed = _fetch(f"{base}/models", None, key, min(timeout_s, 20.0))
        first = listed["data"][0]["id"]
    except NoReply as error:
        raise InputError(f"{error}; start one, such as: kolossos serve FOLDER") from None
    except (KeyError, IndexError, TypeError):
        raise InputError(f"{base}/models lists no model; is it a server with the interface of OpenAI?") from None
    if not isinstance(first, str):
        raise InputError(f"{base}/models lists no model; is it a server with the interface of OpenAI?")
    return ChatModel(base, first, key, timeout_s)


def _fetch(url: str, body: dict[str, Any] | None, key: str | None, timeout_s: float) -> Any:
    try:
        return json.loads(ask(url, body, key, timeout_s, LONGEST_REPLY))
    except Unanswered as why:
        raise NoReply(str(why)) from None
    except (ValueError, RecursionError):
        raise NoReply(f"{url} answered with something that is not JSON") from None
