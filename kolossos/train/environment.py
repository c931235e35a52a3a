"""What a run ran on: written to environment.json, so that its figures can be read years later."""

import os
import platform
from typing import Any

import torch

import kolossos
from kolossos.errors import InputError
from kolossos.specs.run import ComputeSpec


def choose_device(compute: ComputeSpec) -> torch.device:
    """The device that the run asks for; sets the number of CPU threads where one is given."""
    if compute.threads:
        torch.set_num_threads(compute.threads)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device = 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'")
    use_cuda = compute.device == "cuda" or (compute.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def compute_dtype(precision: str) -> torch.dtype:
    """The dtype of activations and products."""
    if precision == "fp8":
        raise InputError("layout.precision = 'fp8' is not available for training yet; use 'bf16' or 'fp32'")
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def environment(device: torch.device, peak_flops: float, compiled: str) -> dict[str, Any]:
    """Versions, processor, threads, and the measured peak in FLOP/s."""
    return {
        "kolossos": kolossos.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "measured_peak_flops": peak_flops,
        "compile": compiled,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
