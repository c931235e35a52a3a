"""What a run writes down at every step: JSON lines for programs, TensorBoard events for people.

An event has a step, a kind ("train", "validation", "note") and values; UNITS names every value's unit once.
"""

import json
import os
from pathlib import Path
from typing import Any

from kolossos.files import write_whole

UNITS = {
    "loss": "nats/token",
    "lr_factor": "share of the peak learning rate",
    "grad_norm": "1",
    "tokens": "tokens since the start of the run",
    "tokens_per_s": "tokens/s",
    "mfu": "share of the measured matrix-product peak",
    "step_s": "s",
    "balance": "1 (1 = perfectly balanced experts)",
    "router_z": "1",
    "load_entropy": "share of the largest possible entropy of the experts' load, mean over layers",
    "validation_loss": "nats/token",
    "bits_per_byte": "bits/byte of text",
    "n_tokens": "tokens scored",
    "n_bytes": "bytes of text scored",
}


class Metrics:
    """Appends to `metrics.jsonl` and to TensorBoard's event file."""

    def __init__(self, path: Path, tensorboard: Path, resume_step: int):
        """Events after ``resume_step`` of an interrupted part are dropped: those steps are computed again."""
        from tensorboardX import SummaryWriter

        _truncate(path, resume_step)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
        self._board = SummaryWriter(str(tensorboard), purge_step=resume_step + 1 if resume_step else None)

    def write(self, step: int, kind: str, **values: float) -> None:
        """One event; numbers also go to TensorBoard as ``kind/name``."""
        self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, float):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._board.close()


def read_events(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The events of a run, all or of one kind; a last line that a crash cut off is left out."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            break
        if event["kind"] != "units" and kind in (None, event["kind"]):
            events.append(event)
    return events


def _truncate(path: Path, last_step: int) -> None:
    """Keep events up to ``last_step``, under one header with the units."""
    kept = [e for e in read_events(path) if e["step"] <= last_step] if path.exists() else []
    lines = [{"step": 0, "kind": "units", **UNITS}, *kept]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in lines))
