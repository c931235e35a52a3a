"""What a run writes down at every step: one JSON object a line in metrics.jsonl, the first with every metric's unit.

An event has a step, a kind and values. METRICS is the one list of what may be written, with which unit and in which
kinds of events. JSON knows no NaN and no infinity: such a value is null in the file, and the event's ``not_finite``
says which it was; `read_events` gives it back as the float.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from kolossos.files import AppendFile, write_whole

Kind = Literal["train", "skipped", "validation", "rolled-back", "miscomputed"]
"""train: a step that was kept; skipped: one that changed nothing, for its loss or gradient was not finite or stood out;
validation: a score of held-out text (``n_tokens`` = 0 and no loss where the data holds none); rolled-back: the run went
back to this step from a bad one (``from_step``), whose loss and gradient norm these are; miscomputed: behind this step
ranks disagreed on a gradient (``train/watch/replay.py``), and it was not kept."""

KINDS: tuple[Kind, ...] = get_args(Kind)
UNITS = "units"  # the kind of the first line
NOT_FINITE = "not_finite"
NEAR_END = 65536  # bytes


@dataclass(frozen=True)
class Metric:
    """The unit of a value, the kinds of events that may have it, and whether it is a whole number, or a text."""

    unit: str
    kinds: tuple[Kind, ...]
    whole: bool = False
    text: bool = False


STEP: tuple[Kind, ...] = ("train", "skipped")
SCORE: tuple[Kind, ...] = ("validation",)
BACK: tuple[Kind, ...] = ("rolled-back",)
CHECK: tuple[Kind, ...] = ("miscomputed",)

METRICS = {
    "loss": Metric("nats/token", STEP + BACK),
    "lr_factor": Metric("share of the peak learning rate", STEP),
    "grad_norm": Metric("1", STEP + BACK),
    "tokens": Metric("tokens since the start of the run", STEP),
    "tokens_per_s": Metric("tokens/s", STEP),
    "mfu": Metric("share of the measured matrix-product peak", STEP),
    "step_s": Metric("s", STEP),
    "balance": Metric("1 (1 = perfectly balanced experts)", STEP),
    "router_z": Metric("1", STEP),
    "load_entropy": Metric("share of the largest possible entropy of the experts' load, mean over layers", STEP),
    "validation_loss": Metric("nats/token", SCORE),
    "bits_per_byte": Metric("bits/byte of text", SCORE),
    "n_tokens": Metric("tokens scored", SCORE, whole=True),
    "n_bytes": Metric("bytes of text scored", SCORE, whole=True),
    "from_step": Metric("the bad step, from 1", BACK, whole=True),
    "batches_left_out": Metric("global batches that no kept step reads", BACK, whole=True),
    "wrong_ranks": Metric("ranks and their hosts; if not sure, all that disagree", CHECK, text=True),
    "compared_ranks": Metric("ranks and their hosts", CHECK, text=True),
    "sure": Metric("1: those are wrong, 0: nobody can say", CHECK, whole=True),
}

Value = float | str
"""Of a metric: a float, a whole number or a text."""


def require_registered(kind: str, values: Mapping[str, Value]) -> None:
    """ValueError for a value that METRICS does not know, or not in this kind of event, or of another type."""
    if kind not in KINDS:
        raise ValueError(f"no kind of event {kind!r}; known: {', '.join(KINDS)}")
    for name, value in values.items():
        metric = METRICS.get(name)
        if metric is None:
            raise ValueError(f"no metric {name!r}: METRICS must name it and its unit before it can be written")
        if kind not in metric.kinds:
            raise ValueError(f"metric {name!r} belongs to {' and '.join(metric.kinds)} events, not to {kind!r}")
        wanted = str if metric.text else int if metric.whole else float
        if type(value) is not wanted:
            raise ValueError(f"metric {name!r} = {value!r} must be of type {wanted.__name__}")


class EventFile:
    """Appends to metrics.jsonl: a line is there whole or not at all, and OSError says that it is not."""

    def __init__(self, path: Path, resume_step: int):
        """Events after ``resume_step`` of an interrupted part are dropped: those steps are computed again."""
        kept = [_line(e.pop("step"), e.pop("kind"), e) for e in _events_until(path, resume_step)]
        header = json.dumps({"step": 0, "kind": UNITS, **{name: metric.unit for name, metric in METRICS.items()}})
        write_whole(path, "".join(line + "\n" for line in (header, *kept)))
        self._file = AppendFile(path)

    def write(self, step: int, kind: Kind, values: Mapping[str, Value]) -> None:
        """One event; ValueError if it has what METRICS does not allow."""
        require_registered(kind, values)
        self._file.append(f"{_line(step, kind, values)}\n".encode())

    def sync(self) -> None:
        """Flush to the disk: before a checkpoint is there, the events of its steps are."""
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def read_events(path: Path, kind: Kind | None = None) -> list[dict[str, Any]]:
    """The events of a run, all or of one kind, each with step, kind and values; a line that a crash cut off ends them.

    Values may be NaN or infinite.
    """
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            break
        if event["kind"] != UNITS and kind in (None, event["kind"]):
            events.append(event | {name: float(word) for name, word in event.pop(NOT_FINITE, {}).items()})
    return events


def newest_event(path: Path, kind: Kind = "train") -> dict[str, Any] | None:
    """The last event of ``kind`` near the end of the file, at little cost however long it is; None if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - NEAR_END))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut off at the front, or under way
        if isinstance(event, dict) and event.get("kind") == kind:
            return event
    return None


def read_units(path: Path) -> dict[str, str]:
    """The unit of every metric, as the run itself recorded it; {} where the file does not begin with them."""
    with open(path, encoding="utf-8") as file:
        try:
            header = json.loads(file.readline())
        except ValueError:
            return {}
    return {k: v for k, v in header.items() if k not in ("step", "kind")} if header.get("kind") == UNITS else {}


def finite_or_null(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` for JSON: null in place of a number that is not finite."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _line(step: int, kind: str, values: Mapping[str, Any]) -> str:
    wrong = {k: str(v) for k, v in values.items() if isinstance(v, float) and not math.isfinite(v)}
    event = {"step": step, "kind": kind, **finite_or_null(values)}
    return json.dumps(event | {NOT_FINITE: wrong} if wrong else event, allow_nan=False)


def _events_until(path: Path, last_step: int) -> list[dict[str, Any]]:
    return [event for event in read_events(path) if event["step"] <= last_step] if path.exists() else []
