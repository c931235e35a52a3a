"""The files that a calibration leaves: the hardware, and a cluster of this one computer."""

import json
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
import torch

from kolossos.calibrate.run import Calibration, Progress, calibrate
from kolossos.files import write_whole
from kolossos.specs.cluster import ClusterSpec, FabricSpec, PoolSpec
from kolossos.specs.gpu import CollectiveFit, GpuSpec, MeasuredSpec, PeakFlops


@dataclass(frozen=True)
class Made:
    """A calibration, the GpuSpec made of it, and where both files lie (``cluster`` only if it was asked for)."""

    calibration: Calibration
    spec: GpuSpec
    hardware: Path
    cluster: Path | None


def measure_into_files(
    out: Path | None, name: str | None, cluster_out: Path | None, seconds: float, threads: int, progress: Progress
) -> Made:
    """Measure this computer; the files are written at the end, whole or not at all.

    out: the hardware file, by default NAME.toml here; name: by default the file's, or the processor's or card's.
    """
    if threads:
        torch.set_num_threads(threads)
    calibration = calibrate(seconds, progress)
    name = name or (out.stem if out else calibration.machine.short_name)
    out = out or Path(f"{name}.toml")
    spec = hardware(calibration, name, torch.__version__)
    command = f"kolossos calibrate --seconds {seconds:g}" + (f" --threads {threads}" if threads else "")
    write_whole(out, hardware_toml(spec, calibration, command))
    if cluster_out is not None:
        write_whole(cluster_out, cluster_toml(spec, calibration.machine.n_devices, str(out)))
    return Made(calibration, spec, out, cluster_out)


def hardware(calibration: Calibration, name: str, torch_version: str) -> GpuSpec:
    """The GpuSpec of what was measured. InputError if nothing could be timed between processes."""
    machine, memory = calibration.machine, calibration.memory
    fits = [fit for group in calibration.collectives for fit in group.fits()]
    measured = MeasuredSpec(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine.model,
        torch=torch_version,
        threads=calibration.threads,
        busy_cores=round(calibration.busy_cores, 2),
        spread=calibration.spread,
        operation_s=memory.operation_s,
        copy_bytes_per_s=memory.copy_bytes_per_s,
        triad_bytes_per_s=memory.triad_bytes_per_s,
        products={name: products.fit() for name, products in calibration.products.items()},
        attention={name: attention.fit() for name, attention in calibration.attention.items()},
        collectives=fits,
        load_watts=calibration.load_watts,
    )
    peaks = {name: products.peak_flops_per_s for name, products in calibration.products.items()}
    watts = {"tdp_watts": machine.tdp_watts or calibration.load_watts, "idle_watts": calibration.idle_watts}
    return GpuSpec(
        name=name,
        source=f"kolossos calibrate, {measured.date}: every rate measured on {machine.model}",
        family=machine.family,
        peak_flops=PeakFlops(**peaks),
        memory_bytes=machine.memory_bytes,
        memory_bandwidth_bytes_per_s=max(memory.copy_bytes_per_s, memory.triad_bytes_per_s),
        n_sms=machine.n_sms,
        l2_bytes=machine.cache_bytes,
        boost_clock_hz=machine.clock_hz,
        nvlink_bytes_per_s=_link(fits, memory.copy_bytes_per_s),
        measured=measured,
        **watts,
    )


def _link(fits: list[CollectiveFit], copy_bytes_per_s: float) -> float:
    """Bytes/s between ranks: of the all-gather in the largest group; of a copy in memory where nothing could talk."""
    gathers = [fit for fit in fits if fit.kind == "all-gather"]
    return max(gathers, key=lambda fit: fit.ranks).bandwidth_bytes_per_s if gathers else copy_bytes_per_s


def hardware_toml(spec: GpuSpec, calibration: Calibration, command: str) -> str:
    """The file, figures rounded to five digits, under a comment that says where they are from."""
    measured = spec.measured
    assert measured is not None
    machine = calibration.machine
    lines = [
        f"Measured on {measured.date} by: {command}",
        f"{machine.model}, {measured.threads} threads, torch {measured.torch}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
        *([machine.driver] if machine.driver else []),
        f"Other programs used {measured.busy_cores:.1f} cores meanwhile. Every time is the best of its rounds; "
        f"the median round took {measured.spread:.0%} longer.",
        "peak_flops: the best measured rate of a product. memory_bandwidth: the better of copy and triad, bytes read "
        "and written.",
        "n_sms: threads on a CPU. l2_bytes and boost_clock_hz: as the system tells.",
        _link_comment(spec),
        *calibration.notes,
    ]
    values = _rounded(spec.model_dump(by_alias=True, exclude_none=True, exclude_defaults=False))
    return "".join(f"# {line}\n" for line in lines) + tomli_w.dumps(values)


def _link_comment(spec: GpuSpec) -> str:
    collectives = spec.measured.collectives if spec.measured else []
    if any(fit.kind == "all-gather" for fit in collectives):
        return "nvlink_bytes_per_s: the all-gather of the largest group below."
    return "nvlink_bytes_per_s: a copy in memory, for nothing could be timed between ranks; correct it for a cluster."


def cluster_toml(spec: GpuSpec, n_devices: int, hardware_path: str) -> str:
    """A ClusterSpec of this one computer; its pool names the hardware file. InputError if it cannot be one."""
    fits = [fit for fit in (spec.measured.collectives if spec.measured else []) if fit.kind == "all-gather"]
    link = max(fits, key=lambda fit: fit.ranks, default=None)
    cluster = ClusterSpec(
        name=f"one-{spec.name}",
        source=f"kolossos calibrate: one computer, {n_devices} rank{'s' if n_devices > 1 else ''}",
        pools=[PoolSpec(gpu=hardware_path, count=n_devices, gpus_per_node=n_devices, nvlink_domain=n_devices)],
        fabric=FabricSpec(
            kind="ethernet",
            nic_bytes_per_s=spec.nvlink_bytes_per_s,
            tiers=1,
            efficiency=1.0,
            latency_s=max(link.latency_s, 1e-9) if link else 1e-5,
        ),
    )
    values = _rounded(cluster.model_dump(exclude_none=True, exclude={"power"}))
    head = (
        "# One computer. The fabric has the rate measured between its processes: no network was measured.\n"
        "# Power beyond the processor and prices are the defaults of Kolossos, not measured.\n"
    )
    return head + tomli_w.dumps(values)


def as_json(spec: GpuSpec, calibration: Calibration) -> str:
    """The hardware with every timing behind it."""
    products = {
        name: [
            {"m": m, "n": n, "k": k, "seconds": float(t), **{o: float(v[i]) for o, v in p.seconds_by_order.items()}}
            for i, ((m, n, k), t) in enumerate(zip(p.shapes.tolist(), p.seconds, strict=True))
        ]
        for name, p in calibration.products.items()
    }
    attention = {
        name: [
            {**dict(zip(("batch", "length", "heads", "kv_heads", "head_dim"), shape, strict=True)),
             "forward_s": float(ahead), "backward_s": float(back)}
            for shape, ahead, back in zip(a.shapes.tolist(), a.forward, a.backward, strict=True)
        ]
        for name, a in calibration.attention.items()
    }  # fmt: skip
    rows = [
        {"backend": g.backend, "ranks": g.ranks, "kind": kind, "bytes": size, "seconds": best}
        for g in calibration.collectives
        for kind, size, best, _ in g.rows
    ]
    timings = {"products": products, "attention": attention, "collectives": rows, "memory": calibration.memory.by_bytes}
    values = {
        "hardware": spec.model_dump(by_alias=True, exclude_none=True),
        "seconds": calibration.seconds,
        "notes": calibration.notes,
        "timings": timings,
    }
    return json.dumps(values, indent=1)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
