"""Published training runs as columns: reads a CSV of measurements, and says which rows it cannot price and why."""

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kolossos.errors import InputError
from kolossos.plan.columns import LayoutColumns, ModelColumns
from kolossos.specs.cluster import FabricSpec
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import load_family
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

GPUS = {
    "h100-80g-sxm": "h100",
    "h100-96g-hbm2e-500w": "h100-96g-500w",
    "a100-80g-sxm": "a100-80g",
    "a100-40g-sxm": "a100-40g",
    "b200-power-limited": "b200",
    "blackwell-unspecified": "b200",
}
"""Names in measurements of the cards in the catalogue."""

NEEDED = ("seq_len", "gbs", "tp", "pp")


@dataclass(frozen=True)
class Measurement:
    """One published run: what was trained, on what, in which layout, and what it took."""

    id: str
    source: str
    model_name: str
    model: ModelSpec
    gpu: str
    nvlink_domain: int
    fabric: FabricSpec
    framework: str
    layout: Layout
    year: int
    sequence_parallel: bool
    recompute_known: bool
    ep_overlap: bool
    whole_step_graph: bool
    async_tp: bool
    fp32_gradients: bool
    step_time_s: float | None
    memory_gib: float | None
    out_of_memory: bool


def read_measurements(
    path: Path, models: dict[str, ModelSpec], gpus: dict[str, GpuSpec]
) -> tuple[list[Measurement], Counter[str]]:
    """The rows that can be priced, and how many could not, by reason. InputError if the file is not such a CSV."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV of measurements: {error}") from None
    missing = [name for name in ("id", "model", "gpu", "gpus", *NEEDED) if not rows or name not in rows[0]]
    if missing:
        raise InputError(
            f"{path}: no column '{missing[0]}'; the columns of a measurement are id, model, gpu, gpus, ..."
        )
    read: list[Measurement] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        try:
            read.append(_measurement(row, models, gpus))
        except _Skip as reason:
            skipped[str(reason)] += 1
    return read, skipped


class _Skip(Exception):
    """This row cannot be priced."""


def _measurement(row: dict[str, str], models: dict[str, ModelSpec], gpus: dict[str, GpuSpec]) -> Measurement:
    step = _step_time(row)
    memory = _number(row, "memory_gib")  # means nothing where the micro-batch was not printed
    out_of_memory = bool(re.search(r"\bOOM\b|out of memory", row.get("notes", "")))
    for name in NEEDED:
        if _number(row, name) is None:
            raise _Skip(f"no {name}")
    if step is None and memory is None and not out_of_memory:
        raise _Skip("no step time")
    if row.get("workload", "pretrain") not in ("", "pretrain"):
        raise _Skip(f"workload {row['workload']}")
    model = models.get(row["model"])
    if model is None:
        raise _Skip("architecture not known")
    layers = _number(row, "layers_override")
    if layers:
        model = model.model_copy(update={"n_layers": int(layers)})
    gpu = GPUS.get(row["gpu"], row["gpu"])
    if gpu not in gpus:
        raise _Skip("GPU not known")
    layout = _layout(row, model)
    if not getattr(gpus[gpu].peak_flops, layout.precision):
        raise _Skip(f"{gpu} has no {layout.precision} units")
    domain = _number(row, "gpus_per_node_or_nvlink_domain")
    return Measurement(
        id=row["id"],
        source=row.get("source", ""),
        model_name=row["model"],
        model=model,
        gpu=gpu,
        nvlink_domain=int(domain or 8),
        fabric=_fabric(row.get("network", ""), gpus[gpu]),
        framework=row.get("framework", ""),
        layout=layout,
        year=int(_number(row, "year") or 2025),
        sequence_parallel=_sequence_parallel(row),
        recompute_known=row.get("recompute", "") in ("none", "selective", "full"),
        ep_overlap="A2A overlap" in row.get("notes", ""),
        whole_step_graph="full_iteration" in row.get("notes", ""),
        async_tp=bool(re.search(r"async ?tp", row.get("notes", ""), re.IGNORECASE)),
        fp32_gradients="fp32 gradient accumulation" in row.get("notes", ""),
        step_time_s=step,
        memory_gib=memory if _number(row, "mbs") else None,
        out_of_memory=out_of_memory,
    )


def _number(row: dict[str, str], name: str) -> float | None:
    try:
        return float(row.get(name, "") or "nan") if row.get(name) else None
    except ValueError:
        return None


def _step_time(row: dict[str, str]) -> float | None:
    for name in ("step_time_s", "step_time_s_derived"):
        seconds = _number(row, name)
        if seconds:
            return seconds
    rate, gpus = _number(row, "tokens_per_s_per_gpu"), _number(row, "gpus")
    batch, length = _number(row, "gbs"), _number(row, "seq_len")
    return batch * length / (rate * gpus) if rate and gpus and batch and length else None


def _fabric(network: str, gpu: GpuSpec) -> FabricSpec:
    """The link of one GPU: printed (per GPU, or per node of eight), or that of the card's usual server."""
    rate = load_family(gpu.family).nic_rate(gpu.name)
    if printed := re.search(r"(?:(\d+)x\s*)?([\d.]+)\s*Gb/s.*?per (node|GPU)", network):
        links, gigabits, where = printed.groups()
        rate = float(gigabits) * 1e9 / 8 * float(links or 1) / (8 if where == "node" else 1)
    elif "Omni-Path" in network:
        rate = 4 * 100e9 / 8 / 8
    kind = "roce" if "RoCE" in network else "infiniband"
    return FabricSpec(kind=kind, nic_bytes_per_s=rate, efficiency=1.0)


def _layout(row: dict[str, str], model: ModelSpec) -> Layout:
    gpus, tp, pp = (int(_number(row, name) or 0) for name in ("gpus", "tp", "pp"))
    cp, ep, vp = (int(_number(row, name) or 1) for name in ("cp", "ep", "vp"))
    batch = int(_number(row, "gbs") or 0)
    if not gpus or gpus % (tp * pp * cp):
        raise _Skip("GPUs are not tp x pp x cp x dp")
    dp = gpus // (tp * pp * cp)
    micro = int(_number(row, "mbs") or 1)
    if model.moe and not row.get("ep") and "DeepEP" in row.get("notes", ""):
        ep = math.gcd(model.moe.n_experts, gpus // pp)
    if batch % (dp * micro):
        raise _Skip("global batch is not a multiple of micro-batch x dp")
    sharding, shard = _sharding(row, dp)
    cut_experts = model.moe and ep * tp <= gpus and "Bridge" not in row.get("framework", "")
    etp = int(_number(row, "etp") or (tp if cut_experts else 1))
    values = {
        "tp": tp, "pp": pp, "vp": vp, "cp": cp, "ep": ep, "etp": etp, "dp_shard": shard, "dp_replicate": dp // shard,
        "micro_batch_size": micro, "global_batch_size": batch, "seq_len": int(_number(row, "seq_len") or 0),
        "recompute": _recompute(row), "precision": _precision(row.get("precision", "")), "sharding": sharding,
    }  # fmt: skip
    try:
        return Layout.model_validate(values)
    except ValueError:
        raise _Skip("not a layout") from None


def _sharding(row: dict[str, str], dp: int) -> tuple[str, int]:
    """What dp shards, and over how many ranks."""
    fsdp, zero = row.get("fsdp", ""), row.get("zero_stage", "")
    if zero.startswith("3") or "ZeRO-3" in fsdp or fsdp[:4] in ("FULL", "FSDP") or fsdp.startswith("yes"):
        group = re.search(r"FSDP2?[= ]+(?:column )?(\d+)", fsdp)
        return "parameters", _divisor(int(group[1]), dp) if group else dp
    if "SHARD_GRAD_OP" in fsdp:
        return "gradients", dp
    if zero.startswith("0"):
        return "none", dp
    if group := re.search(r"shard group (\d+)", zero):
        return "optimizer", _divisor(int(group[1]), dp)
    return "optimizer", dp


def _divisor(wanted: int, dp: int) -> int:
    return wanted if wanted and dp % wanted == 0 else dp


def _recompute(row: dict[str, str]) -> str:
    return row["recompute"] if row.get("recompute") in ("none", "selective", "full") else "none"


def _precision(text: str) -> str:
    for name in ("nvfp4", "mxfp8", "fp8"):
        if text.startswith(name):
            return name
    return "bf16"


def _sequence_parallel(row: dict[str, str]) -> bool:
    return row.get("sp", "") != "false" and int(_number(row, "tp") or 1) > 1


def model_columns(rows: list[Measurement]) -> ModelColumns:
    """One row of model widths for each measurement."""
    return ModelColumns.stack([ModelColumns.of(row.model) for row in rows])


def layout_columns(rows: list[Measurement]) -> LayoutColumns:
    """One row of layout for each measurement."""
    return LayoutColumns.stack([LayoutColumns.of(row.layout) for row in rows])


def measured(rows: list[Measurement]) -> np.ndarray:
    """Step times in seconds."""
    return np.array([row.step_time_s or np.nan for row in rows])
