"""environment.json: what a run ran on, so that its figures can be read years later."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import kolossos
from kolossos.errors import InputError
from kolossos.files import write_whole

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Environment:
    """Versions, the processor or card, its cores, the threads in use and how they wait, and the measured
    peak in FLOP/s; precision_choice: what was measured to choose the precision when the run began.

    None where a record does not say: records of other versions have other keys.
    """

    kolossos: str | None = None
    torch: str | None = None
    python: str | None = None
    system: str | None = None
    device: str | None = None
    cores: int | None = None
    threads: int | None = None
    measured_peak_flops: float | None = None
    compile: str | None = None
    waiting: str | None = None
    precision_choice: dict[str, Any] | None = None

    @classmethod
    def here(
        cls,
        *,
        torch: str,
        device: str,
        threads: int,
        measured_peak_flops: float,
        compiled: str,
        precision_choice: dict[str, Any] | None = None,
    ) -> "Environment":
        """Of this process; the caller knows what only torch can tell."""
        return cls(
            kolossos=kolossos.__version__,
            torch=torch,
            python=platform.python_version(),
            system=f"{platform.system()} {platform.machine()}",
            device=device,
            cores=os.cpu_count(),
            threads=threads,
            measured_peak_flops=measured_peak_flops,
            compile=compiled,
            waiting=os.environ.get("OMP_WAIT_POLICY", "torch's default").lower(),
            precision_choice=precision_choice,
        )

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_whole(path, json.dumps(asdict(self), indent=1, allow_nan=False))

    @classmethod
    def read(cls, path: Path) -> "Environment | None":
        """The record in this file; None without the file. Keys that are unknown here are left out."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected a JSON object")
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})


def processor_name() -> str:
    """The processor as the system calls it: from Linux' cpuinfo, macOS' sysctl, or what Python knows."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    try:
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        told = ""
    return told or platform.processor() or platform.machine()
