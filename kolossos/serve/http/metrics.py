"""Numbers for Prometheus: what the engine says of itself when asked, and what is measured at the door."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kolossos.serve.engine.request import Status

if TYPE_CHECKING:
    from prometheus_client.core import Metric

FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
REQUEST_S = (*FIRST_TOKEN_S, 120, 300, 600)
_GAUGES = {
    "running": "Requests that are being answered.",
    "waiting": "Requests that wait.",
    "pages": "Pages for keys and values.",
    "pages_used": "Pages that requests hold.",
    "pages_cached": "Pages kept for prompts that begin alike.",
    "stalled_s": "Seconds that the step at work has taken so far.",
}
_SUMS = {
    "requests": "Requests taken.",
    "cancelled": "Requests given up by those who asked.",
    "failed": "Requests that ended by a fault.",
    "prompt_tokens": "Tokens of prompts.",
    "cached_tokens": "Tokens of prompts that were not computed again.",
    "new_tokens": "Tokens of answers.",
    "steps": "Steps of the engine.",
    "busy_s": "Seconds in steps.",
}


class Meters:
    """The numbers of one server; ``status`` asks the engine."""

    def __init__(self, status: Callable[[], Status]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._status = status
        self._registry = CollectorRegistry()
        self._first = Histogram(
            "kolossos_first_token_seconds",
            "From a request's handing over to its first token.",
            buckets=FIRST_TOKEN_S,
            registry=self._registry,
        )
        self._requests = Histogram(
            "kolossos_http_request_seconds",
            "From a request's first line to the end of its answer.",
            ("route", "status"),
            buckets=REQUEST_S,
            registry=self._registry,
        )
        self._ended = Counter("kolossos_answers", "Answers by how they ended.", ("reason",), registry=self._registry)
        self._registry.register(self)  # type: ignore[arg-type]

    def first_token(self, seconds: float) -> None:
        """An answer's first token came ``seconds`` after it was asked for."""
        self._first.observe(seconds)

    def ended(self, reason: str) -> None:
        """An answer ended: stop, length, cancelled, failed, or dropped by the server."""
        self._ended.labels(reason).inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; ``route``: its pattern, not its path, so that there are few."""
        self._requests.labels(route, str(status)).observe(seconds)

    def collect(self) -> "Iterable[Metric]":
        """What the engine says now, as Prometheus asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._status()
        yield GaugeMetricFamily("kolossos_alive", "Whether the engine's thread runs.", float(status.alive))
        for name, described in _GAUGES.items():
            yield GaugeMetricFamily(f"kolossos_{_seconds(name)}", described, float(getattr(status, name)))
        for name, described in _SUMS.items():
            yield CounterMetricFamily(f"kolossos_{_seconds(name)}", described, float(getattr(status, name)))
        sizes = status.batch_sizes
        yield GaugeMetricFamily("kolossos_batch_size", "Mean size of the newest steps.", _mean(sizes))

    def page(self) -> tuple[bytes, str]:
        """What Prometheus reads, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def _mean(values: Any) -> float:
    return sum(values) / len(values) if values else 0.0


def _seconds(name: str) -> str:
    return name.removesuffix("_s") + "_seconds" if name.endswith("_s") else name
