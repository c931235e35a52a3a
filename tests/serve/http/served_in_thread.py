"""A server on a free port of this machine, in a thread."""

import threading
import time

from scripted import ScriptedEngine

from kolossos.data.tokenizer import Tokenizer

NAME = "tiny"


class Server:
    """The running server: ``url``, the engine, and a client."""

    def __init__(self, tokenizer: Tokenizer, engine: ScriptedEngine, trained: bool = True, **options) -> None:
        import httpx
        import uvicorn

        from kolossos.listening import listen
        from kolossos.serve.http.app import make_app
        from kolossos.serve.http.prompt.served import Markers, Options, Served

        chat = options.pop("chat", None) or Markers(tokenizer, trained)
        self.engine, self.tokenizer = engine, tokenizer
        bound = listen("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = make_app(engine, Served(NAME, tokenizer, chat, trained, 1_700_000_000), Options(**options))
        config = uvicorn.Config(self.app, log_level="warning", timeout_graceful_shutdown=1)
        self.uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.uvicorn.run, kwargs={"sockets": [bound]})
        self._thread.start()
        while not self.uvicorn.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        self._httpx, self._client = httpx, httpx.Client(base_url=self.url, timeout=60)

    def client(self, **options):
        return self._httpx.Client(base_url=self.url, timeout=60, **options)

    def post(self, path: str, **body):
        """The answer to a body, with the model's name unless it says one."""
        return self._client.post(path, json={"model": NAME, **body})

    def complete(self, prompt="the", **body):
        return self.post("/v1/completions", prompt=prompt, **body)

    def chat(self, text="the", **body):
        return self.post("/v1/chat/completions", **{"messages": [{"role": "user", "content": text}], **body})

    def events(self, path: str, **body) -> list[str]:
        """What a stream says, without ``data: ``."""
        answer = self.post(path, stream=True, **body)
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
        return [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]

    def stop(self) -> None:
        self._client.close()
        self.uvicorn.should_exit = True
        self._thread.join(30)
