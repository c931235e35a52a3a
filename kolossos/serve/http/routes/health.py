"""Whether it lives, whether it is ready, and what it does now."""

import time
from dataclasses import asdict
from typing import Any

from kolossos import __version__
from kolossos.serve.http.service import Service
from kolossos.serve.http.wire.refusals import Refusal, shutting_down


def ready(service: Service) -> dict[str, str]:
    """Refusal 503 while requests are not or could not be answered: draining, the engine dead, or stuck in a step."""
    if service.draining:
        raise shutting_down()
    status = service.engine.status()
    if not status.alive:
        raise Refusal(503, "the engine is dead", code="engine_dead")
    if status.stalled_s > service.options.stuck_s:
        raise Refusal(
            503, f"the engine is stuck: a step has taken {status.stalled_s:.0f} s so far", code="engine_stuck"
        )
    return {"status": "ok"}


def status(service: Service) -> dict[str, Any]:
    """Everything that the page shows, and `kolossos.serve.engine.request.Status` whole."""
    return {
        "model": service.served.name,
        "trained_on_chats": service.served.trained_on_chats,
        "context": service.engine.context,
        "vocab_size": service.engine.vocab_size,
        "uptime_s": time.monotonic() - service.began,
        "draining": service.draining,
        "version": __version__,
        "engine": asdict(service.engine.status()),
    }
