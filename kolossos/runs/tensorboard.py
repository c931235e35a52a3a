"""TensorBoard's event files, written without a thread: one that dies of a full disk leaves training waiting for it.

A file is a row of records (length, checksum, an `Event`, checksum). TensorBoard reads the files of a folder in the
order of their names, so a name counts on from the one before it, whatever the clock says.
"""

import math
import re
import shutil
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kolossos.files import AppendFile
from kolossos.runs.events import Kind, Value

FILE_NAME = re.compile(r"events\.out\.tfevents\.(\d+)\.")
MASK_DELTA = 0xA282EAD8  # of TFRecord's checksums


class TensorBoard:
    """Numbers as ``kind/name``, all of an event together. OSError if the disk does not take them."""

    def __init__(self, folder: Path, resume_step: int):
        """What an interrupted part wrote after ``resume_step`` is hidden; from the beginning: deleted."""
        from tensorboardX.proto import event_pb2

        self._protocol: Any = event_pb2  # its classes are made when it is imported
        if resume_step == 0:  # a part that died before its first checkpoint left curves, and nothing stays of it
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        numbers = [int(found[1]) for file in folder.iterdir() if (found := FILE_NAME.match(file.name))]
        number = max([int(time.time()), *(n + 1 for n in numbers)])
        self._file = AppendFile(folder / f"events.out.tfevents.{number:010d}.{socket.gethostname()}")
        self._write(self._protocol.Event(wall_time=time.time(), file_version="brain.Event:2"))
        if resume_step:
            start = self._protocol.SessionLog(status=self._protocol.SessionLog.START)
            self._write(self._protocol.Event(wall_time=time.time(), step=resume_step + 1, session_log=start))

    def write(self, step: int, kind: Kind, values: Mapping[str, Value]) -> None:
        """One event; what is not a finite float has no point on a curve."""
        self.write_tags(step, {f"{kind}/{name}": value for name, value in values.items()})

    def write_tags(self, step: int, values: Mapping[str, Value]) -> None:
        """The same with the names of curves as they are."""
        event = self._protocol.Event(wall_time=time.time(), step=step)
        for name, value in values.items():
            if isinstance(value, float) and math.isfinite(value):
                event.summary.value.add(tag=name, simple_value=value)
        self._write(event)

    def sync(self) -> None:
        """Curves can be drawn again from metrics.jsonl: nothing waits for the disk."""

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Any) -> None:
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        self._file.append(length + _checksum(length) + content + _checksum(content))


def _checksum(content: bytes) -> bytes:
    from tensorboardX.crc32c import crc32c

    crc = crc32c(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF)
