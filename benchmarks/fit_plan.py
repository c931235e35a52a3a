"""Fit the planner's coefficients to published runs, and measure its errors on sources that the fit did not see.

    python benchmarks/fit_plan.py --measurements FILE.csv --models FILE.json [--write] [--json]

Iteratively reweighted Gauss-Newton on the log error of the step time (soft-L1 loss, one weight a row), with priors
(``plan_parameters``). Every source is then left out in turn and the fit repeated from the whole one's end. With
``--write`` the files of the families of GPUs and kolossos/plan/rates/software.toml get the new figures (their facts,
such as what overlaps, are kept) and kolossos/plan/published/errors.toml the quantiles of the errors on left-out
sources, which are the planner's intervals.
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import tomli_w
from fitting.plan_parameters import CHIP, LINES, MATMUL, SOFTWARE, Parameters, parameters
from rich.console import Console
from rich.progress import track

from kolossos.files import write_whole
from kolossos.plan.closed_form.layer_kernels import LayerKernels, layer_kernels
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.closed_form.step import step_seconds
from kolossos.plan.published.interval import ERRORS
from kolossos.plan.published.measurements import measured, read_measurements
from kolossos.plan.published.settings import setting_of
from kolossos.plan.rates.software import SOFTWARE as SOFTWARE_FILE
from kolossos.plan.rates.software import Software, load_software
from kolossos.specs.catalogue import load_gpu, names
from kolossos.specs.from_models_json import model_specs
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import FAMILIES, GpuFamily, load_family

NOISE = 0.03
"""Log error at which the loss turns from square to linear: the spread of repeated measurements is 4 % in the median."""
LARGEST_MOVE = 0.7


class Fit:
    """Rows, kernels and parameters; ``errors`` are log(predicted / measured)."""

    def __init__(self, parameters: Parameters, kernels: LayerKernels, seconds: np.ndarray):
        self.parameters, self.kernels, self.seconds = parameters, kernels, seconds

    def errors(self, theta: np.ndarray) -> np.ndarray:
        return np.log(step_seconds(self.kernels, self.parameters.apply(theta)).step / self.seconds)

    def jacobian(self, theta: np.ndarray, base: np.ndarray, step: float = 1e-3) -> np.ndarray:
        moved = np.repeat(theta[None], len(theta), 0) + step * np.eye(len(theta))
        return np.stack([(self.errors(row) - base) / step for row in moved], axis=1)

    def loss(self, theta: np.ndarray, errors: np.ndarray, rows: np.ndarray) -> float:
        data = rows * 2 * (np.sqrt(1 + (errors / NOISE) ** 2) - 1)
        return float(data.sum() + (((theta - self.parameters.prior) / self.parameters.width) ** 2).sum())

    def direction(self, theta: np.ndarray, errors: np.ndarray, jacobian: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """One reweighted Gauss-Newton step on the rows chosen."""
        weight = rows / NOISE * (1 + (errors / NOISE) ** 2) ** -0.25
        prior = (theta - self.parameters.prior) / self.parameters.width
        matrix = np.vstack([weight[:, None] * jacobian, np.diag(1 / self.parameters.width)])
        step = -np.linalg.lstsq(matrix, np.concatenate([weight * errors, prior]), rcond=None)[0]
        return np.minimum(np.clip(step, -LARGEST_MOVE, LARGEST_MOVE), self.parameters.upper - theta)

    def solve(self, rows: np.ndarray, theta: np.ndarray, iterations: int) -> np.ndarray:
        """Iterate, halving a step that makes the loss worse."""
        errors = self.errors(theta)
        for _ in range(iterations):
            jacobian = self.jacobian(theta, errors)
            step = self.direction(theta, errors, jacobian, rows)
            before, share = self.loss(theta, errors, rows), 1.0
            while share > 0.01:
                trial = theta + share * step
                errors_there = self.errors(trial)
                if self.loss(trial, errors_there, rows) < before:
                    break
                share /= 2
            else:
                return theta
            gained = before - self.loss(trial, errors_there, rows)
            theta, errors = trial, errors_there
            if gained < 1e-4 * before:
                break
        return theta


def left_out(fit: Fit, theta: np.ndarray, groups: np.ndarray, steps: int = 2) -> np.ndarray:
    """Errors of each group of rows under the fit to all others, refitted from ``theta`` with true residuals.

    The derivatives are those at ``theta``; they change little over the small moves that one source makes.
    """
    jacobian = fit.jacobian(theta, fit.errors(theta))
    result = np.empty(len(groups))
    for group in track(sorted(set(groups)), "leaving out", console=Console(stderr=True)):
        rows = (groups != group) * 1.0
        there = theta
        for _ in range(steps):
            there = there + fit.direction(there, fit.errors(there), jacobian, rows)
        result[groups == group] = fit.errors(there)[groups == group]
    return result


def summary(errors: np.ndarray) -> dict[str, float]:
    """Absolute percentage errors and bias."""
    relative = np.abs(np.expm1(errors))
    return {
        "rows": len(errors),
        "mean": float(relative.mean()),
        "median": float(np.median(relative)),
        "p90": float(np.quantile(relative, 0.9)),
        "bias": float(np.expm1(errors).mean()),
    }


def fitted_software(old: Software, p: Parameters, theta: np.ndarray, command: str) -> Software:
    """The generations with their fitted figures replaced."""
    generations = {}
    for name, generation in old.generations.items():
        figures = {
            f: _rounded(p.value(theta, ("line", LINES[name], f), ("generation", name, f)))
            for f in SOFTWARE
            if name in LINES
        }
        generations[name] = generation.model_dump() | figures
    return Software.parse({"fitted": f"{date.today()}, {command}", "generations": generations}, "fit")


def fitted_family(old: GpuFamily, cards: list[str], p: Parameters, theta: np.ndarray, command: str) -> GpuFamily:
    """A family with its fitted figures replaced; its own entry serves cards nobody measured."""

    def rates(card: str) -> dict[str, float]:
        values = {f: p.value(theta, ("family", old.name, f), ("chip", CHIP.get(card, card), f)) for f in MATMUL}
        values |= {f: p.value(theta, ("family", old.name, f)) for f in ("attention_scale", "memory_efficiency")}
        return {f: _rounded(value) for f, value in values.items()}

    values = old.model_dump() | {"rates": rates(old.name), "rates_of": {card: rates(card) for card in cards}}
    values["source"] = f"links and rates: {date.today()}, {command}; nic_bytes_per_s: usual servers"
    for field in ("nvlink_efficiency", "fabric_efficiency", "collective_share"):
        values["links"][field] = _rounded(p.value(theta, ("family", old.name, field)))
    return GpuFamily.parse(values, "fit")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def write_fit(p: Parameters, theta: np.ndarray, software: Software, gpus: dict[str, GpuSpec]) -> None:
    """The generations of software, and each family that a published run was trained on."""
    command = "benchmarks/fit_plan.py"
    write_toml(SOFTWARE_FILE, fitted_software(software, p, theta, command).model_dump())
    for name in sorted({gpu.family for gpu in gpus.values()}):
        cards = sorted(card for card, gpu in gpus.items() if gpu.family == name)
        family = fitted_family(load_family(name), cards, p, theta, command)
        write_toml(FAMILIES / f"{name}.toml", family.model_dump(exclude={"name"}, exclude_none=True, mode="json"))


def write_toml(path: Path, values: dict[str, object]) -> None:
    """Whole or not at all."""
    write_whole(path, tomli_w.dumps(values).encode())


def main() -> None:
    """Fit, leave out, report, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    gpus = {name: load_gpu(name) for name in names("gpus")}
    rows, skipped = read_measurements(arguments.measurements, model_specs(arguments.models), gpus)
    rows = [row for row in rows if row.step_time_s]
    software = load_software()
    setting = setting_of(rows, software, gpus)
    kernels = layer_kernels(setting.model, setting.hardware, setting.layout)
    p = parameters(rows, setting, software, gpus)
    fit = Fit(p, kernels, measured(rows))
    started = time.perf_counter()
    theta = fit.solve(np.ones(len(rows)), p.start, arguments.iterations)
    seconds = time.perf_counter() - started
    sources = np.array([row.source for row in rows])
    repositories = np.array([source.split("@")[0] for source in sources])
    seen, unseen = fit.errors(theta), left_out(fit, theta, sources)
    elsewhere = left_out(fit, theta, repositories)
    generations = np.array([software.generation_of(row.framework, row.year) for row in rows])
    report = {
        "seconds": seconds,
        "skipped": dict(skipped),
        "parameters": len(p.names),
        "all rows, in the fit": summary(seen),
        "left out by source": summary(unseen),
        "left out by repository": summary(elsewhere),
        "by generation, left out by source": {
            str(g): summary(unseen[generations == g]) for g in sorted(set(generations))
        },
    }
    if arguments.write:
        write_fit(p, theta, software, gpus)
        errors = {
            "made": f"{date.today()}, benchmarks/fit_plan.py: log(predicted / measured) on left-out sources",
            "all": _quantiles(unseen),
            "elsewhere": _quantiles(elsewhere),
            "memory": _quantiles(memory_errors(arguments.measurements, arguments.models)),
            "generations": {str(g): _quantiles(unseen[generations == g]) for g in sorted(set(generations))},
        }
        write_toml(ERRORS, errors)
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        Console().print(report)


def memory_errors(measurements: Path, models: Path) -> np.ndarray:
    """log(predicted / measured) of the peak memory, where it is known. Not left out: too few sources print it."""
    gpus = {name: load_gpu(name) for name in names("gpus")}
    rows, _ = read_measurements(measurements, model_specs(models), gpus)
    rows = [row for row in rows if row.memory_gib]
    predicted = memory_bytes(setting_of(rows, load_software(), gpus)).total / 2**30
    return np.log(predicted / np.array([row.memory_gib for row in rows]))


def _quantiles(errors: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(errors, [0.05, 0.95])
    return {"rows": len(errors), "low": round(float(low), 4), "high": round(float(high), 4)}


if __name__ == "__main__":
    sys.exit(main())
