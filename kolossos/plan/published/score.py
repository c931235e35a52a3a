"""The planner against published runs: errors, rank agreement, regret, coverage."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from kolossos.errors import InputError
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.closed_form.step import step_seconds
from kolossos.plan.published.interval import memory_interval, step_interval
from kolossos.plan.published.measurements import Measurement, read_measurements
from kolossos.plan.published.settings import setting_of
from kolossos.plan.rates.software import load_software
from kolossos.specs.catalogue import load_gpu, load_model, names
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.from_models_json import model_specs
from kolossos.specs.model import ModelSpec

GIB = 2**30


@dataclass(frozen=True)
class Scored:
    """One measured run and its prediction. Seconds and GiB."""

    id: str
    source: str
    gpu: str
    model: str
    generation: str
    measured_step_time_s: float | None
    predicted_step_time_s: float
    low_s: float
    high_s: float
    measured_memory_gib: float | None
    predicted_memory_gib: float
    memory_low_gib: float
    memory_high_gib: float


def score(measurements: Path, models: Path | None) -> dict[str, object]:
    """Predict every row of a CSV and compare.

    Returns ``rows``, ``skipped`` (reason -> count) and ``summary``: all, and by source, gpu, model and generation.
    """
    gpus = {name: load_gpu(name) for name in names("gpus")}
    specs = model_specs(models) if models else {}
    rows, skipped = read_measurements(measurements, _WithCatalogue(specs), gpus)
    if not rows:
        raise InputError(f"{measurements}: no row can be priced ({_reasons(skipped)})")
    scored = predict(rows)
    fits = [r for r, s in zip(rows, scored, strict=True) if r.out_of_memory and _fits(r, s, gpus[r.gpu].memory_bytes)]
    timed = [(r, s) for r, s in zip(rows, scored, strict=True) if s.measured_step_time_s]
    summary: dict[str, object] = {"all": summarise(timed)}
    groupings: dict[str, Callable[[Scored], str]] = {
        "by_source": lambda s: s.source,
        "by_gpu": lambda s: s.gpu,
        "by_model": lambda s: s.model,
        "by_generation": lambda s: s.generation,
    }
    for name, key in groupings.items():
        groups = defaultdict(list)
        for pair in timed:
            groups[key(pair[1])].append(pair)
        summary[name] = {key: summarise(group) for key, group in sorted(groups.items())}
    summary["memory"] = _memory_summary(scored) | {"out_of_memory_called_fitting": [r.id for r in fits]}
    return {"rows": [asdict(s) for s in scored], "skipped": dict(skipped), "summary": summary}


class _WithCatalogue(dict[str, ModelSpec]):
    """The user's models first, then the catalogue's."""

    def get(self, key: str, default: ModelSpec | None = None) -> ModelSpec | None:  # type: ignore[override]
        if key in self:
            return self[key]
        try:
            return load_model(key)
        except InputError:
            return default


def predict(rows: Sequence[Measurement]) -> list[Scored]:
    """Predictions with their intervals."""
    software = load_software()
    gpus = {row.gpu: load_gpu(row.gpu) for row in rows}
    setting = setting_of(list(rows), software, gpus)
    step = step_seconds(layer_kernels(setting.model, setting.hardware, setting.layout), setting).step
    memory = memory_bytes(setting).total
    result = []
    for row, seconds, size in zip(rows, step, memory, strict=True):
        generation = software.generation_of(row.framework, row.year)
        known = software.fitted_generation(row.framework, row.year)
        low, high = step_interval(seconds, known)
        memory_low, memory_high = memory_interval(size)
        result.append(
            Scored(
                id=row.id,
                source=row.source,
                gpu=row.gpu,
                model=row.model_name,
                generation=generation,
                measured_step_time_s=row.step_time_s,
                predicted_step_time_s=float(seconds),
                low_s=low,
                high_s=high,
                measured_memory_gib=row.memory_gib,
                predicted_memory_gib=float(size) / GIB,
                memory_low_gib=memory_low / GIB,
                memory_high_gib=memory_high / GIB,
            )
        )
    return result


Pair = tuple[Measurement, Scored]


def summarise(pairs: Sequence[Pair]) -> dict[str, float | int | None]:
    """Errors as fractions of the measured time; Kendall and regret among layouts of one model, size and source."""
    measured = np.array([s.measured_step_time_s for _, s in pairs], dtype=float)
    predicted = np.array([s.predicted_step_time_s for _, s in pairs])
    relative = predicted / measured - 1
    inside = [s.low_s <= (s.measured_step_time_s or 0) <= s.high_s for _, s in pairs]
    kendall, regret = _ranks(pairs)
    return {
        "rows": len(pairs),
        "mean_absolute_error": float(np.abs(relative).mean()),
        "median_absolute_error": float(np.median(np.abs(relative))),
        "p90_absolute_error": float(np.quantile(np.abs(relative), 0.9)),
        "bias": float(relative.mean()),
        "coverage_90": float(np.mean(inside)),
        "constant_efficiency_error": _constant(pairs),
        "kendall": kendall,
        "regret": regret,
    }


def _constant(pairs: Sequence[Pair]) -> float:
    """The error of one efficiency for all (model FLOPs over peak), set to the best value: what must be beaten."""
    ideal = []
    for row, _ in pairs:
        tokens = row.layout.global_batch_size * row.layout.seq_len
        flops = training_flops_per_token(row.model, row.layout.seq_len) * tokens
        gpu = load_gpu(row.gpu)
        precision = row.layout.precision
        peak = getattr(gpu.peak_flops, precision, None) or gpu.peak("bf16")
        ideal.append(flops / (row.layout.world_size * peak))
    measured = np.array([s.measured_step_time_s for _, s in pairs], dtype=float)
    ratios = measured / np.array(ideal)
    return float(min(np.abs(ratio / ratios - 1).mean() for ratio in np.quantile(ratios, np.linspace(0.05, 0.95, 91))))


def _ranks(pairs: Sequence[Pair]) -> tuple[float | None, float | None]:
    """Means over groups of at least three layouts: Kendall's tau-a, and how much slower the favourite is."""
    groups: dict[tuple[object, ...], list[Pair]] = defaultdict(list)
    for row, scored in pairs:
        lay = row.layout
        key = (row.source, row.model_name, row.model.n_layers, row.gpu, lay.world_size, lay.global_batch_size)
        groups[*key, lay.seq_len, lay.precision].append((row, scored))
    taus, regrets = [], []
    for group in groups.values():
        if len({row.layout.model_dump_json() for row, _ in group}) < 3:
            continue
        times = [(s.measured_step_time_s or 0.0, s.predicted_step_time_s) for _, s in group]
        signs = [np.sign((a[0] - b[0]) * (a[1] - b[1])) for a, b in combinations(times, 2) if a[0] != b[0]]
        taus.append(float(np.mean(signs)))
        favourite = min(times, key=lambda pair: pair[1])[0]
        regrets.append(favourite / min(measured for measured, _ in times) - 1)
    return (float(np.mean(taus)), float(np.mean(regrets))) if taus else (None, None)


def _memory_summary(scored: Sequence[Scored]) -> dict[str, object]:
    known = [(s.measured_memory_gib, s.predicted_memory_gib) for s in scored if s.measured_memory_gib]
    if not known:
        return {"rows": 0}
    relative = np.array([predicted / measured - 1 for measured, predicted in known])
    return {
        "rows": len(known),
        "mean_absolute_error": float(np.abs(relative).mean()),
        "median_absolute_error": float(np.median(np.abs(relative))),
        "bias": float(relative.mean()),
    }


def _fits(row: Measurement, scored: Scored, capacity_bytes: float) -> bool:
    return scored.predicted_memory_gib * GIB <= capacity_bytes


def _reasons(skipped: dict[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in skipped.items()) or "it is empty"
