"""One step as a Chrome trace: open the file in https://ui.perfetto.dev or chrome://tracing.

Format: "Trace Event Format" (Google, 2016): complete events (ph = X) in microseconds, one process for each pipeline
stage, one thread for each stream, and metadata (ph = M) that names and orders them.
"""

import gzip
import json
from pathlib import Path

from kolossos.files import write_whole
from kolossos.plan.events.step import StepSchedule
from kolossos.plan.events.units import STREAMS

MICROSECONDS = 1e6


def write_trace(schedule: StepSchedule, path: Path, title: str = "") -> None:
    """Write the trace, whole or not at all; a name that ends in .gz is compressed."""
    text = json.dumps(trace(schedule, title), separators=(",", ":")).encode()
    write_whole(path, gzip.compress(text, compresslevel=6, mtime=0) if path.suffix == ".gz" else text)


def trace(schedule: StepSchedule, title: str = "") -> dict[str, object]:
    """The trace as the JSON object that the viewers read."""
    return {
        "traceEvents": [*_names(schedule), *_complete_events(schedule)],
        "displayTimeUnit": "ms",
        "otherData": {"title": title, "step_time_s": schedule.step_s},
    }


def _names(schedule: StepSchedule) -> list[dict[str, object]]:
    """Names of processes and threads, and the order in which they are shown."""
    rows: list[dict[str, object]] = []
    for stage in range(len(schedule.in_flight)):
        about = f"stage {stage}, at most {schedule.in_flight[stage]:g} micro-batches alive"
        rows.append({"ph": "M", "name": "process_name", "pid": stage, "args": {"name": about}})
        rows.append({"ph": "M", "name": "process_sort_index", "pid": stage, "args": {"sort_index": stage}})
        for thread, stream in enumerate(STREAMS):
            rows.append({"ph": "M", "name": "thread_name", "pid": stage, "tid": thread, "args": {"name": stream}})
            order = {"sort_index": thread}
            rows.append({"ph": "M", "name": "thread_sort_index", "pid": stage, "tid": thread, "args": order})
    return rows


def _complete_events(schedule: StepSchedule) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    thread = {stream: index for index, stream in enumerate(STREAMS)}
    for event in schedule.events():
        row: dict[str, object] = {
            "ph": "X",
            "name": event.name,
            "cat": event.stream,
            "pid": event.stage,
            "tid": thread[event.stream],
            "ts": round(event.start_s * MICROSECONDS, 3),
            "dur": round(event.duration_s * MICROSECONDS, 3),
        }
        if event.micro_batch >= 0:
            row["args"] = {"micro_batch": event.micro_batch, "chunk": event.chunk}
        rows.append(row)
    return rows
