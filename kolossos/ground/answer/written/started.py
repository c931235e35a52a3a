"""A model's folder served for as long as it is asked: `kolossos serve` in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kolossos.errors import InputError
from kolossos.ground.answer.written.client import ChatModel, connect

END_S = 20.0


@contextmanager
def model_at(place: str, name: str = "", key: str | None = None) -> Iterator[ChatModel]:
    """The model at a URL, or in a folder, then served on a free port of this machine until the block ends."""
    if "://" in place:
        yield connect(place, name, key)
        return
    if not Path(place).is_dir():
        raise InputError(f"{place} is neither the folder of a model nor an address such as http://HOST:PORT/v1")
    command = [sys.executable, "-m", "kolossos", "serve", place, "--port", "0", "--json", "--drain", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            _, said = server.communicate(timeout=END_S)
            last = (said.strip().splitlines() or ["it ended without a word"])[-1].removeprefix("error: ")
            raise InputError(f"{place} cannot be served: {last}")
        started = json.loads(line)
        yield connect(started["address"].rstrip("/") + "/v1", started["model"])
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(END_S)
        if server.poll() is None:
            server.kill()
        for stream in (server.stdout, server.stderr):
            if stream is not None:
                stream.close()
