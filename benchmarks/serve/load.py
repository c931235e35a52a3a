"""A server under many clients: right texts, flat memory, a free event loop, and every page back at the end.

    python benchmarks/serve/load.py RUN_OR_FOLDER [--minutes 10] [--clients 64] [--output FILE.json]

Starts ``kolossos serve`` in a process of its own. Each client asks again and again, at random: one of 48 seeded
requests, streamed or not, whose answer must be the text that it had alone before the storm; a long prompt; a request
that it leaves in the middle; a hostile body, which must be refused with 4xx. Beside them a prompt of 5 MB goes in
every few seconds, and another process asks /health/live without a pause: its waits are the event loop's.
"""

import asyncio
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer

KNOWN, NEW_TOKENS, BIG_EVERY_S, PROBE_EVERY_S = 48, 24, 5.0, 0.02
HOSTILE = [
    b"",
    b"{",
    b'{"model": 1}',
    b"[" * 20_000,
    b'{"messages": [{"role": "user", "content": "\\ud800"}], "n": 1e99}',
    b'{"messages": [], "max_tokens": -1}',
    json.dumps({"messages": [{"role": "nobody", "content": "x"}]}).encode(),
    json.dumps({"messages": [{"role": "user", "content": "x"}], "logit_bias": {"x": 1}}).encode(),
    json.dumps({"messages": [{"role": "user", "content": "x"}], "stop": ["a"] * 9}).encode(),
    json.dumps(
        {
            "messages": [{"role": "user", "content": "x"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "no"}}},
        }
    ).encode(),
    b"\x00\xff\xfe" * 500,
]


class Storm:
    """The clients, and what they saw."""

    def __init__(self, base: str, model: str, seed: int):
        self.base, self.model, self.rng = base, model, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.right: dict[int, str] = {}

    def body(self, number: int) -> dict[str, Any]:
        """The ``number``-th of the seeded requests."""
        rng = random.Random(number)
        words = " ".join(rng.choice(("def", "import", "return", "self", "the", "value", "é", "= 3")) for _ in range(40))
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": words[: rng.randrange(5, len(words))]}],
            "max_tokens": NEW_TOKENS,
            "temperature": rng.choice((0.0, 0.8, 1.2)),
            "seed": number,
        }

    async def whole(self, client: httpx.AsyncClient, number: int) -> str:
        answer = await client.post(f"{self.base}v1/chat/completions", json=self.body(number))
        answer.raise_for_status()
        return answer.json()["choices"][0]["message"]["content"]

    async def streamed(self, client: httpx.AsyncClient, number: int, leave_after: int | None = None) -> str:
        text, body = "", {**self.body(number), "stream": True}
        async with client.stream("POST", f"{self.base}v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        text += choice["delta"].get("content") or ""
                    leave_after = None if leave_after is None else leave_after - 1
                    if leave_after == 0:
                        break
        return text

    async def one(self, client: httpx.AsyncClient) -> None:
        """One request of a client, of a random kind."""
        number, kind = self.rng.randrange(KNOWN), self.rng.choices(KINDS, WEIGHTS)[0]
        if kind in ("whole", "stream"):
            text = await (self.whole if kind == "whole" else self.streamed)(client, number)
            if text != self.right[number]:
                self.wrong.append(f"request {number}: {text!r} in place of {self.right[number]!r}")
        elif kind == "leave":
            await self.streamed(client, number, self.rng.randrange(1, 6))
        elif kind == "long":
            text = "a long text and " * self.rng.randrange(200, 400)
            body = {**self.body(number), "messages": [{"role": "user", "content": text}], "max_tokens": 2}
            answer = await client.post(f"{self.base}v1/chat/completions", json=body)
            if answer.status_code not in (200, 400):
                self.wrong.append(f"a long prompt: {answer.status_code}")
        else:
            body = self.rng.choice(HOSTILE)
            headers = {"Content-Type": "application/json"}
            answer = await client.post(f"{self.base}v1/chat/completions", content=body, headers=headers)
            if not 400 <= answer.status_code < 500:
                self.wrong.append(f"a hostile body {body[:60]!r}: {answer.status_code}")
        self.counts[kind] += 1

    async def client(self, until: float) -> None:
        async with httpx.AsyncClient(timeout=600) as client:
            while time.monotonic() < until:
                await self.one(client)

    async def big(self, until: float) -> None:
        """Prompts of 5 MB, which no context holds."""
        content = "five megabytes of words " * 220_000
        async with httpx.AsyncClient(timeout=600) as client:
            while time.monotonic() < until:
                body = {"model": self.model, "messages": [{"role": "user", "content": content}]}
                answer = await client.post(f"{self.base}v1/chat/completions", json=body)
                self.counts[f"5 MB: {answer.status_code}"] += 1
                await asyncio.sleep(BIG_EVERY_S)


KINDS, WEIGHTS = ("whole", "stream", "leave", "long", "hostile"), (4, 4, 2, 1, 2)


def probe(base: str, stop: Connection) -> None:
    """In a process of its own: how long /health/live takes, until told to stop."""
    waits = []
    with httpx.Client() as client:
        while not stop.poll(PROBE_EVERY_S):
            begin = time.perf_counter()
            client.get(f"{base}health/live").raise_for_status()
            waits.append(time.perf_counter() - begin)
    stop.send(waits)


def resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


async def storm(it: Storm, clients: int, seconds: float, pid: int) -> list[tuple[int, float]]:
    """All clients for so long; returns (requests, resident MiB) every few seconds."""
    async with httpx.AsyncClient(timeout=600) as client:
        it.right = {number: await it.whole(client, number) for number in range(KNOWN)}
    until, memory = time.monotonic() + seconds, []

    async def watch() -> None:
        while time.monotonic() < until:
            memory.append((it.counts.total(), resident_mib(pid)))
            await asyncio.sleep(seconds / 60)

    await asyncio.gather(*(it.client(until) for _ in range(clients)), it.big(until), watch())
    return memory


def main(
    run: Path,
    minutes: Annotated[float, typer.Option()] = 10.0,
    clients: Annotated[int, typer.Option()] = 64,
    seed: Annotated[int, typer.Option()] = 0,
    output: Annotated[Path | None, typer.Option(help="JSON file for the figures")] = None,
) -> None:
    """Run the storm and print what came of it; exit code 1 if a text was wrong, a page lost, or a request refused."""
    command = [
        sys.executable,
        "-m",
        "kolossos",
        "serve",
        str(run),
        "--port",
        "0",
        "--json",
        "--threads",
        "1",
        "--memory",
        "48",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    started = json.loads(server.stdout.readline())
    here, there = multiprocessing.Pipe()
    prober = multiprocessing.Process(target=probe, args=(started["address"], there))
    it = Storm(started["address"], started["model"], seed)
    prober.start()
    try:
        memory = asyncio.run(storm(it, clients, minutes * 60, server.pid))
        here.send("stop")
        waits = np.array(here.recv())
        time.sleep(2)
        status = httpx.get(f"{it.base}v1/kolossos/status").json()["engine"]
    finally:
        prober.terminate()
        server.terminate()
        server.wait(60)
    settled = memory[len(memory) // 3 :]
    slope = float(np.polyfit([n for n, _ in settled], [mib for _, mib in settled], 1)[0]) * 1000
    figures = {
        "clients": clients,
        "minutes": minutes,
        "cores": len(os.sched_getaffinity(0)),
        "requests": dict(it.counts),
        "wrong": it.wrong[:20],
        "resident_mib": [memory[0][1], settled[0][1], memory[-1][1]],
        "mib_a_thousand_requests": slope,
        "live_ms": {f"p{p}": float(np.percentile(waits, p)) * 1000 for p in (50, 95, 99, 99.9)},
        "pages_used_at_the_end": status["pages_used"],
        "cancelled": status["cancelled"],
        "server_exit_code": server.returncode,
    }
    print(json.dumps(figures, indent=1))
    if output is not None:
        output.write_text(json.dumps(figures, indent=1) + "\n")
    raise typer.Exit(code=int(bool(it.wrong) or status["pages_used"] > 0))


if __name__ == "__main__":
    typer.run(main)
