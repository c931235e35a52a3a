"""An OperationSpec from a file, or from a model and a cluster of the catalogue."""

import json
import re
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.simulate.spec import OperationSpec
from kolossos.specs.catalogue import load_cluster, load_gpu, load_model
from kolossos.specs.cluster import ClusterSpec, PoolSpec, PowerSpec
from kolossos.specs.counts import CHECKPOINT_BYTES_PER_PARAMETER, count_parameters
from kolossos.specs.overrides import apply_overrides
from kolossos.specs.strict import read_toml

TOKENS_PER_STEP = 16_777_216  # Llama 3 405B's largest batch, arXiv:2407.21783 section 3.4.1
GROWTH = re.compile(r"(\d+)x([\w.-]+)@day(-?\d+(?:\.\d+)?)")


def read_operation(path: Path, overrides: list[str] | None = None) -> OperationSpec:
    """An OperationSpec from TOML or JSON, with single keys (``key=value``) set anew."""
    return parse_operation(operation_values_of(path, overrides), path)


def operation_values_of(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """The plain values of an operation's file, with single keys set anew."""
    if path.suffix == ".json":
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected a JSON object with the keys of an operation")
    else:
        values = read_toml(path)
    apply_overrides(values, overrides or [])
    return values


def parse_operation(values: dict[str, Any], path: Path) -> OperationSpec:
    """The OperationSpec of a file's values."""
    return OperationSpec.parse({"name": path.stem, **values}, str(path))


def growth_of(text: str, days: float) -> list[dict[str, Any]]:
    """``50000xh100@day60,50000xh200@day90`` as lots of ``fleet.growth``."""
    made = []
    for part in (part.strip() for part in text.split(",")):
        match = GROWTH.fullmatch(part)
        if match is None:
            raise InputError(f"{part}: expected COUNTxGPU@dayN, such as 50000xh100@day60")
        count, gpu, day = int(match[1]), match[2], float(match[3])
        if day < 0:
            raise InputError(f"{part}: growth before day 0")
        if count == 0:
            raise InputError(f"{part}: 0 GPUs are no growth")
        if day >= days:
            raise InputError(f"{part}: growth on day {day:g}, but the run ends after {days:g} days")
        made.append({"gpus": count, "gpu": gpu, "day": day})
    return made


def operation_of(
    model_name: str,
    cluster_name: str,
    *,
    days: float,
    growth: list[dict[str, Any]],
    step_time_s: float | None = None,
    tokens_per_step: float | None = None,
    overrides: list[str] | None = None,
) -> OperationSpec:
    """A model on a cluster; the step time from the planner where none is given; single keys set anew at last."""
    model, cluster = load_model(model_name), load_cluster(cluster_name)
    for lot in growth:
        load_gpu(lot["gpu"])
    first, *others = cluster.pools
    present = [{"gpus": pool.count, "gpu": pool.gpu, "day": 0.0} for pool in others]
    if step_time_s is not None:
        step: dict[str, Any] = {
            "time_s": step_time_s,
            "tokens": float(tokens_per_step or TOKENS_PER_STEP),
            "for_gpus": cluster.n_gpus,
            "source": "given; after growth inverse to the fleet's peak FLOP/s",
        }
        saved = count_parameters(model).total * CHECKPOINT_BYTES_PER_PARAMETER
    else:
        from kolossos.simulate.promised import promised_steps  # the planner is loaded only where it is asked

        step, saved = promised_steps(model, fleets(cluster, growth))
    values = {
        "name": f"{model.name} on {cluster.name}",
        "model": model_name,
        "cluster": cluster_name,
        "days": float(days),
        "fleet": {
            "gpus": first.count,
            "gpu": first.gpu,
            "gpus_per_node": first.gpus_per_node,
            "growth": [*present, *growth],
        },
        "step": step,
        "checkpoint": {"bytes": float(saved)},
        "power": _power(cluster.power),
        "price": {"usd_per_gpu_hour": first.usd_per_gpu_hour if len(cluster.pools) == 1 else None},
    }
    apply_overrides(values, overrides or [])
    return OperationSpec.parse(values, str(values["name"]))


def fleets(cluster: ClusterSpec, growth: list[dict[str, Any]]) -> list[ClusterSpec]:
    """The cluster as it is at first and after each growth, pools of one kind joined."""
    made = [cluster]
    for day in sorted({lot["day"] for lot in growth}):
        counts: dict[str, int] = {}
        for pool in cluster.pools:
            counts[pool.gpu] = counts.get(pool.gpu, 0) + pool.count
        for lot in growth:
            if lot["day"] <= day:
                counts[lot["gpu"]] = counts.get(lot["gpu"], 0) + lot["gpus"]
        shape = cluster.pools[0]
        pools = [
            PoolSpec(gpu=gpu, count=count, gpus_per_node=shape.gpus_per_node, nvlink_domain=shape.nvlink_domain)
            for gpu, count in counts.items()
        ]
        made.append(cluster.model_copy(update={"pools": pools, "name": f"{cluster.name} on day {day:g}"}))
        if day == 0:
            made.pop(0)
    return made


def _power(power: PowerSpec) -> dict[str, Any]:
    """What the site says; what the GPUs draw is each kind's own."""
    return {
        "host_watts": power.host_watts_per_gpu,
        "pue": power.pue,
        "site_limit_watts": power.site_limit_watts,
        "usd_per_kwh": power.usd_per_kwh,
        "gco2_per_kwh": power.gco2_per_kwh,
    }
