"""What is measured: the processor or card, its memory, caches and clock, as the system tells them."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from kolossos.errors import InputError
from kolossos.runs.environment import CPUINFO, processor_name
from kolossos.specs.gpu_family import family_of_capability

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MAX_CLOCK = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
NVIDIA_SMI = "nvidia-smi"


@dataclass(frozen=True)
class Machine:
    """Bytes, hertz and watts; None where the system does not tell. ``driver``: of a card, with its clocks."""

    model: str
    family: str
    device: torch.device
    n_devices: int
    n_sms: int
    memory_bytes: float
    cache_bytes: float
    clock_hz: float | None
    tdp_watts: float | None
    driver: str | None

    @property
    def short_name(self) -> str:
        """A name for its file, such as ``intel-xeon-processor``."""
        plain = re.sub(r"\((r|tm)\)|@.*|\bcpu\b", "", self.model.lower())
        return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "computer"


def this_machine() -> Machine:
    """The first CUDA device if torch finds one, else the CPU with torch's threads."""
    return _card() if torch.cuda.is_available() else _cpu()


def _cpu() -> Machine:
    return Machine(
        model=processor_name(),
        family="cpu",
        device=torch.device("cpu"),
        n_devices=1,
        n_sms=torch.get_num_threads(),
        memory_bytes=float(_memory_bytes()),
        cache_bytes=float(_cache_bytes()),
        clock_hz=_clock_hz(),
        tdp_watts=None,
        driver=None,
    )


def _card() -> Machine:
    device = torch.device("cuda", 0)
    facts = torch.cuda.get_device_properties(device)
    told = query_card("driver_version", "clocks.max.sm", "clocks.sm", "power.limit")
    clock = _number(told.get("clocks.max.sm"))
    return Machine(
        model=facts.name,
        family=_family(facts.major, facts.name),
        device=device,
        n_devices=torch.cuda.device_count(),
        n_sms=facts.multi_processor_count,
        memory_bytes=float(facts.total_memory),
        cache_bytes=float(getattr(facts, "L2_cache_size", 0) or 50e6),
        clock_hz=clock * 1e6 if clock else None,
        tdp_watts=_number(told.get("power.limit")),
        driver=", ".join(f"{key} {value}" for key, value in told.items()) or None,
    )


def _family(major: int, name: str) -> str:
    if family := family_of_capability(major):
        return family
    raise InputError(f"{name} is of no family with a kernel model; CUDA_VISIBLE_DEVICES= measures the CPU")


def query_card(*fields: str) -> dict[str, str]:
    """What nvidia-smi says about card 0; {} without it."""
    command = [NVIDIA_SMI, "--id=0", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(fields, (value.strip() for value in done.stdout.split(",")), strict=False))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        raise InputError("the size of this computer's memory cannot be read (Linux and macOS tell it)") from None


def _cache_bytes() -> int:
    """The largest cache that a core sees; what torch knows where the system has no list."""
    sizes = [_kibibytes("".join(_lines(size))) for size in sorted(CACHES.glob("index*/size"))]
    if any(sizes):
        return max(sizes)
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return int(known.get("l2_cache_size") or 1 << 20)


def _kibibytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KM]?)", text.strip())
    return int(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[match[2]] if match else 0


def _clock_hz() -> float | None:
    most = "".join(_lines(MAX_CLOCK)).strip()
    if most.isdigit():
        return float(most) * 1e3
    rates = [_number(line.split(":", 1)[1].strip()) for line in _lines(CPUINFO) if line.startswith("cpu MHz")]
    return max((rate * 1e6 for rate in rates if rate), default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
