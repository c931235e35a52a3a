"""What all that ask a language model behind a URL share: one request, a bounded answer, or why there is none."""

import json
import urllib.error
import urllib.request
from typing import Any


class Unanswered(Exception):
    """Nothing came that can be used: why, in one line."""


def ask(url: str, body: Any, key: str | None, timeout_s: float, most_bytes: int) -> bytes:
    """What ``url`` answers to ``body`` as JSON (None: to a GET). ``key``: sent as a bearer token.

    Raises:
        Unanswered: it did not answer, or with an error, or with more than ``most_bytes``.
    """
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=timeout_s) as answer:
            content = answer.read(most_bytes + 1)
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(300).decode("utf-8", "replace").split())
        raise Unanswered(f"{url} answered {error.code}: {said[:200]}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Unanswered(f"no model answers at {url} ({getattr(error, 'reason', None) or error})") from None
    if len(content) > most_bytes:
        raise Unanswered(f"{url} answered with more than {most_bytes:,} bytes")
    return content
