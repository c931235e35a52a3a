"""A run's newest numbers for Prometheus, in its text format 0.0.4, over HTTP; read from the run folder. No torch.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kolossos.errors import InputError
from kolossos.runs.events import METRICS, newest_event
from kolossos.runs.goodput import read_goodput
from kolossos.runs.paths import RunPaths
from kolossos.runs.step_times import QUANTILES, StepTimes, slowest, times_of_ranks, together

HOST = "127.0.0.1"
RANKS_SHOWN = 64
CONTENT = "text/plain; version=0.0.4; charset=utf-8"


def exposition(folder: Path, world: int) -> str:
    """The last step, the parts of the wall time and the steps of ``world`` ranks, as far as the run has them."""
    files = RunPaths(folder)
    lines: list[str] = []
    event = newest_event(files.metrics)
    if event is not None:
        lines += _family("step", "steps done", [("", event["step"])])
        for name, metric in METRICS.items():
            if isinstance(event.get(name), int | float):
                lines += _family(name, metric.unit, [("", event[name])])
    if found := read_goodput(files.time):
        lines += _family("goodput", "share of the wall time that computed what was kept", [("", found.share)])
        parts = [(f'{{part="{name}"}}', seconds) for name, seconds in found.parts.items()]
        lines += _family("wall_seconds", "wall time of all attempts, by part", parts)
        lines += _family("attempts", "times that the run was begun or gone on with", [("", found.attempts)])
    if ranks := times_of_ranks(folder, world):
        lines += _family("step_seconds", "seconds, by rank, part and quantile, of all steps so far", _samples(ranks))
    return "".join(line + "\n" for line in lines)


def _samples(ranks: list[StepTimes]) -> list[tuple[str, float]]:
    """Of the slowest ranks, and of all together."""
    named = [("all", together(ranks))] + [(str(one.rank), one) for one in slowest(ranks, RANKS_SHOWN)]
    return [
        (f'{{rank="{name}",part="{part}",quantile="{QUANTILES[quantile]}"}}', seconds)
        for name, times in named
        for part, of_part in times.percentiles().items()
        for quantile, seconds in of_part.items()
    ]


def _family(name: str, unit: str, samples: list[tuple[str, float]]) -> list[str]:
    name = f"kolossos_{name}"
    return [f"# HELP {name} {unit}", f"# TYPE {name} gauge", *(f"{name}{label} {value}" for label, value in samples)]


@contextmanager
def served(folder: Path, port: int, world: int = 1) -> Iterator[int]:
    """Inside the block /metrics answers at this computer alone; gives the port (of the system's choice for 0).

    world: how many ranks the run has.

    Raises:
        InputError: something else listens there.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/metrics"
            body = exposition(folder, world).encode() if found else b"see /metrics\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", CONTENT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Says nothing: a run's stderr is for the run."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} of {HOST} cannot be listened at ({error}); choose another for metrics") from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
