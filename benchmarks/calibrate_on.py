"""`kolossos plan --calibrate-on`: one measured step of a group given, how far are the predictions of its others off?

    python benchmarks/calibrate_on.py --measurements FILE.csv --models FILE.json [--write] [--output FILE.json]

Groups: published steps of one source, model, card and generation of software, three or more. Each is predicted by
coefficients fitted without its whole repository (and, as a second table, without its source). Then each of its steps in
turn is the one that somebody measured, and the others are predicted again: linear in the coefficients, as the planner's
first round. ``scale`` and ``noise`` of the prior are chosen on the half of the groups whose names' sha256 is even; the
other half is what was not tuned on. ``doubt`` is the least with which 90 % of the first half's steps are inside of
their intervals in both tables. --write puts them into kolossos/plan/calibrated/prior.toml.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
from fit_plan import Fit, left_out, write_toml
from fitting.plan_parameters import parameters

from kolossos.plan.calibrated.coefficients import WIDTHS
from kolossos.plan.calibrated.update import PRIOR, Array, Prior, narrowing, posterior
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.published.interval import step_interval
from kolossos.plan.published.measurements import measured, read_measurements
from kolossos.plan.published.settings import setting_of
from kolossos.plan.rates.software import load_software
from kolossos.specs.catalogue import load_gpu, names
from kolossos.specs.from_models_json import model_specs

SCALES, NOISES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0), (0.01, 0.02, 0.03, 0.05, 0.08)
DOUBTS, COVERED = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0), 0.9
FEWEST = 3
AIM = 0.04

Group = tuple[str, str, str, str]


def is_tuned_on(group: Group) -> bool:
    """Whether the prior may look at it."""
    return hashlib.sha256(repr(group).encode()).digest()[0] % 2 == 0


def of_one_group(errors: Array, slopes: Array, generation: str | None, prior: Prior) -> dict[str, float]:
    """Mean errors of the others before and after, over which one is given; and how many lie in their interval."""
    before, after, inside = [], [], []
    low, high = np.log(step_interval(1.0, generation))
    for given in range(len(errors)):
        rest = np.arange(len(errors)) != given
        row = slopes[given : given + 1]
        left = errors + slopes @ posterior(errors[given : given + 1], row, prior)
        before += np.abs(np.expm1(errors[rest])).tolist()
        after += np.abs(np.expm1(left[rest])).tolist()
        for other in np.flatnonzero(rest):
            narrow = narrowing(slopes[other], row, prior)
            inside.append(narrow * low <= -left[other] <= narrow * high)
    return {"before": float(np.mean(before)), "after": float(np.mean(after)), "inside": float(np.mean(inside))}


def table(groups: dict[Group, list[int]], errors: Array, slopes: Array, prior: Prior, elsewhere: bool) -> list[dict]:
    """A row for each group."""
    return [
        {"group": list(group), "rows": len(rows), "tuned_on": is_tuned_on(group)}
        | of_one_group(errors[rows], slopes[rows], None if elsewhere else group[3], prior)
        for group, rows in groups.items()
    ]


def summary(rows: list[dict]) -> dict[str, float]:
    """Means over groups."""
    after = np.array([row["after"] for row in rows])
    return {
        "groups": len(rows),
        "mean_before": float(np.mean([row["before"] for row in rows])),
        "mean_after": float(after.mean()),
        "median_before": float(np.median([row["before"] for row in rows])),
        "median_after": float(np.median(after)),
        "groups_within_aim": float((after <= AIM).mean()),
        "inside_the_interval": float(np.mean([row["inside"] for row in rows])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    gpus = {name: load_gpu(name) for name in names("gpus")}
    rows, _ = read_measurements(arguments.measurements, model_specs(arguments.models), gpus)
    rows = [row for row in rows if row.step_time_s]
    software = load_software()
    setting = setting_of(rows, software, gpus)
    p = parameters(rows, setting, software, gpus)
    fit = Fit(p, layer_kernels(setting.model, setting.hardware, setting.layout), measured(rows))
    theta = fit.solve(np.ones(len(rows)), p.start, 40)
    jacobian = fit.jacobian(theta, fit.errors(theta))
    every = np.arange(len(rows))
    slopes = np.stack([jacobian[every, p.rows[name][0]] for name in WIDTHS], axis=1)
    sources = np.array([row.source for row in rows])
    errors = {
        "repository left out": left_out(fit, theta, np.array([source.split("@")[0] for source in sources])),
        "source left out": left_out(fit, theta, sources),
    }
    groups: dict[Group, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        groups[row.source, row.model_name, row.gpu, software.generation_of(row.framework, row.year)].append(i)
    groups = {group: found for group, found in groups.items() if len(found) >= FEWEST}
    tuned = {group: found for group, found in groups.items() if is_tuned_on(group)}

    def prior_of(scale: float, noise: float, doubt: float = DOUBTS[0]) -> Prior:
        made = f"{date.today()}, benchmarks/calibrate_on.py: the half of the groups that it may see"
        count = sum(map(len, tuned.values()))
        return Prior(made=made, rows=count, groups=len(tuned), scale=scale, noise=noise, doubt=doubt)

    unseen = errors["repository left out"]
    best = min(
        (prior_of(*pair) for pair in product(SCALES, NOISES)),
        key=lambda prior: summary(table(tuned, unseen, slopes, prior, True))["mean_after"],
    )

    def covered(prior: Prior) -> bool:
        both = (table(tuned, e, slopes, prior, n.startswith("repository")) for n, e in errors.items())
        return all(summary(made)["inside_the_interval"] >= COVERED for made in both)

    trusted = (prior_of(best.scale, best.noise, doubt) for doubt in DOUBTS)
    best = next((prior for prior in trusted if covered(prior)), prior_of(best.scale, best.noise, DOUBTS[-1]))
    report: dict = {"date": f"{date.today()}", "prior": best.model_dump()}
    for name, found in errors.items():
        made = table(groups, found, slopes, best, name.startswith("repository"))
        report[name] = {
            "not tuned on": summary([row for row in made if not row["tuned_on"]]),
            "tuned on": summary([row for row in made if row["tuned_on"]]),
            "groups": made,
        }
        print(name, json.dumps({k: v for k, v in report[name].items() if k != "groups"}, indent=1))
    print(best)
    if arguments.write:
        write_toml(PRIOR, best.model_dump())
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
