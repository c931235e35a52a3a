"""A server with scripted answers that speaks what the page speaks: for the page's tests, and for working on the page.

    python tests/serve/page/scripted_server.py [PORT]

An answer depends on the conversation and the seed alone. Words in the last turn make it special: slow, hostile, code,
emoji, long, short, busy (429), broken (an error after the first pieces), cut off (the connection ends).
"""

import contextlib
import hashlib
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "kolossos/serve/page"
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
WORDS = [
    "the",
    "stars",
    "turn",
    "slowly",
    "over",
    "a",
    "quiet",
    "sea",
    "and",
    "nobody",
    "counts",
    "them",
    "but",
    "light",
]
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script> & <b>bold</b>"
SPECIAL = {
    "hostile": HOSTILE,
    "code": "Here it is:\n\n```python\ndef twice(x):\n    return 2 * x  # <b>\n```\nand that is all.",
    "emoji": "A star: 🌟, and a wave: 🌊.",
    "long": "x" * 300 + " " + "https://example.com/" + "a/" * 120,
    "short": "Yes.",
}


@dataclass
class Script:
    """What the server does and what it has seen."""

    key: str = ""
    trained_on_chats: bool = True
    context: int = 1024
    pause_s: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    broken_off: int = 0
    status_calls: int = 0
    new_tokens: int = 0
    prompt_tokens: int = 0
    refuse: int = 0
    """So many requests for an answer are refused with 429 yet."""
    drift: str = ""
    """Put before every answer: a server whose answers are no longer the ones of before."""
    fail: bool = True
    begun: float = field(default_factory=time.monotonic)


def answer_text(messages: list[dict[str, str]], seed: int) -> str:
    """The whole answer to a conversation: the same for the same seed."""
    last = messages[-1]["content"]
    for word, text in SPECIAL.items():
        if word in last:
            return text
    digest = hashlib.sha256(json.dumps([messages, seed]).encode()).digest()
    size = 400 if "slow" in last else 24
    words = [WORDS[(digest[place % 32] + place * place) % len(WORDS)] for place in range(size)]
    return " ".join(words).capitalize() + "."


def pieces(text: str) -> list[bytes]:
    """Tokens of a text: words with the blank before them, and single bytes of what is not ASCII."""
    found: list[bytes] = []
    for word in text.replace(" ", "\0 ").replace("\n", "\0\n").split("\0"):
        raw = word.encode()
        found += [raw] if word.isascii() else [bytes([byte]) for byte in raw]
    return [piece for piece in found if piece]


def scored(piece: bytes, place: int) -> dict[str, Any]:
    """A token with its log-probability and alternatives, in the shape of the chat interface."""
    own = -0.01 if place % 3 else -0.3 - (place % 7)
    shape = {"token": piece.decode("utf-8", "replace"), "bytes": list(piece), "logprob": own}
    others = [(b" perhaps", own - 0.7), (b"<b>", own - 1.5), (b"\n", own - 2.5), (b"\xe2", own - 8)]
    top = [{"token": raw.decode("utf-8", "replace"), "bytes": list(raw), "logprob": value} for raw, value in others]
    return {**shape, "top_logprobs": [dict(shape), *top]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/v1/"):
            if self._admitted():
                self._json(200, self._models() if path == "/v1/models" else self._status())
            return
        file = PAGE / ("index.html" if path == "/" else path[1:])
        if file.parent != PAGE or not file.is_file():
            self._json(404, {"error": {"message": f"there is no {path}"}})
            return
        self._whole(200, KINDS[file.suffix], file.read_bytes())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._admitted():
            return
        if self.script.refuse:
            self.script.refuse -= 1
            self._json(429, {"error": {"message": "too many requests are waiting"}}, {"Retry-After": "2"})
            return
        self.script.requests.append(body)
        self.send_response(200)
        for name, value in {**HEADERS, "Content-Type": "text/event-stream", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        try:
            self._stream(body)
        except (BrokenPipeError, ConnectionResetError):
            self.script.broken_off += 1

    def _stream(self, body: dict[str, Any]) -> None:
        messages, last = body["messages"], body["messages"][-1]["content"]
        tokens = pieces(self.script.drift + answer_text(messages, body["seed"]))
        most = min(len(tokens), body["max_completion_tokens"])
        prompt = sum(len(pieces(message["content"])) + 2 for message in messages)
        held = b""
        self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for place, piece in enumerate(tokens[:most]):
            if place == 3 and "broken" in last and self.script.fail:
                self._event({"error": {"message": "the engine failed at a step", "type": "server_error"}})
                return
            if place == 3 and "cut off" in last:
                return
            held += piece
            text = ""
            with contextlib.suppress(UnicodeDecodeError):
                text, held = held.decode(), b""
            choice: dict[str, Any] = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            if body.get("logprobs"):
                choice["logprobs"] = {"content": [scored(piece, place)]}
            self._event({"choices": [choice]})
            self.script.new_tokens += 1
            time.sleep(0.05 if "slow" in last else self.script.pause_s)
        self.script.prompt_tokens += prompt
        end = "stop" if most == len(tokens) else "length"
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        cached = {"cached_tokens": prompt // 2 if len(messages) > 2 else 0}
        usage = {"prompt_tokens": prompt, "completion_tokens": most, "prompt_tokens_details": cached}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def _admitted(self) -> bool:
        if not self.script.key or self.headers.get("authorization") == f"Bearer {self.script.key}":
            return True
        self._json(401, {"error": {"message": "a key is needed: Authorization: Bearer KEY"}})
        return False

    def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "kolossos"}]}

    def _status(self) -> dict[str, Any]:
        script = self.script
        script.status_calls += 1
        up = time.monotonic() - script.begun
        return {
            **{"model": "scripted", "trained_on_chats": script.trained_on_chats, "context": script.context},
            **{"uptime_s": up, "alive": True, "stalled_s": 0.0, "running": 3, "waiting": 1, "page_tokens": 16},
            **{"pages": 2048, "pages_used": 600, "pages_cached": 900, "requests": len(script.requests)},
            **{"cancelled": script.broken_off, "failed": 0, "prompt_tokens": script.prompt_tokens + 900},
            **{"cached_tokens": 300, "new_tokens": script.new_tokens + int(up * (38 + 30 * (int(up) % 5 == 0)))},
            **{"steps": 90, "busy_s": 0.7 * up, "batch_sizes": [1, 1, 2, 3, 3, 3, 4, 4, 8, 8, 8, 8, 7, 3, 3]},
            "first_token_s": [0.04, 0.06, 0.08, 0.11, 0.12, 0.13, 0.2, 0.24, 0.3, 0.7, 1.2, 0.09, 0.15],
        }

    def _json(self, status: int, value: dict[str, Any], more: dict[str, str] | None = None) -> None:
        self._whole(status, "application/json", json.dumps(value).encode(), more)

    def _whole(self, status: int, kind: str, content: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        sizes = {"Content-Type": kind, "Content-Length": str(len(content))}
        for name, value in {**HEADERS, **sizes, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class ScriptedServer:
    """Runs in a thread of its own at ``url`` until it is closed."""

    def __init__(self, port: int = 0, **values: Any) -> None:
        self.script = Script(**values)
        handler = type("Bound", (Handler,), {"script": self.script})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    running = ScriptedServer(int(sys.argv[1]) if len(sys.argv) > 1 else 8000, pause_s=0.04)
    print(f"page: {running.url}")
    threading.Event().wait()
