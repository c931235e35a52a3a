"""From the options of ``kolossos simulate`` and ``optimise`` to a run, and its tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from kolossos.errors import InputError
from kolossos.simulate.build import operation_values, read_operation
from kolossos.simulate.optimise import Objective, Search, optimise, policies, resolved_interval_s
from kolossos.simulate.play import simulate
from kolossos.simulate.spec import OperationSpec
from kolossos.simulate.summary import as_json, best_as_dict, policies_as_dict, summary
from kolossos.specs.overrides import apply_overrides

DEFAULT_DAYS = 90.0


@dataclass(frozen=True)
class Asked:
    """What the command line says; None: not said."""

    model: str | None
    cluster: str
    days: float | None
    tokens: float | None
    grow: str | None
    step_time: float | None
    tokens_per_step: float | None
    failures: str | None
    spares: int | None
    checkpoint_interval: str | None
    policy: str | None
    replicates: int | None
    seed: int | None
    overrides: list[str]
    json_input: Path | None


def operation(asked: Asked) -> OperationSpec:
    """The run that was asked for; InputError says in one line what cannot be."""
    settings = _settings(asked)
    if asked.json_input is not None:
        if asked.model is not None:
            raise InputError(f"MODEL ({asked.model}) and --json-input: give one of the two")
        for name, key in (("grow", "fleet.growth"), ("step_time", "step.time_s"), ("tokens_per_step", "step.tokens")):
            if getattr(asked, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} goes with MODEL; in {asked.json_input} it is {key}")
        if asked.days is not None:
            settings.append(f"days={asked.days!r}")
        return read_operation(asked.json_input, [*settings, *asked.overrides])
    if asked.model is None:
        raise InputError("no MODEL; for example: kolossos simulate grok-1 --cluster colossus-100k")
    for name, value in (("--days", asked.days), ("--step-time", asked.step_time)):
        if value is not None and not value > 0:
            raise InputError(f"{name} {value:g}: must be above 0")
    days = DEFAULT_DAYS if asked.days is None else asked.days
    values = operation_values(asked.model, asked.cluster, days, asked.grow, asked.step_time, asked.tokens_per_step)
    apply_overrides(values, [*settings, *asked.overrides])
    return OperationSpec.parse(values, "kolossos simulate")


def run_simulation(spec: OperationSpec, search: bool, json: bool, plots: Path | None) -> None:
    """Simulate, search for the best interval and spares if asked, print, plot."""
    found = optimise(spec, "tokens-per-day", replicates=8) if search else None
    if found is not None:
        spec = found.best.spec.model_copy(update={"replicates": spec.replicates})
        interval = found.best.interval_s if spec.checkpoint.interval_s == "auto" else spec.checkpoint.interval_s
    else:
        interval = resolved_interval_s(spec)
    outcome = simulate(spec, interval)
    figures = summary(outcome, found)
    if search:
        figures["policies"] = policies_as_dict(policies(spec, interval))
    if json:
        typer.echo(as_json({"inputs": spec.model_dump(mode="json"), **figures}))
    else:
        from kolossos.simulate.table import print_run

        print_run(figures)
    if plots is not None:
        from kolossos.simulate.plots import write_plots

        for path in write_plots(outcome, found, plots):
            typer.echo(f"wrote {path}", err=True)


def run_optimise(spec: OperationSpec, objective: Objective, replicates: int, json: bool) -> None:
    """Search and print."""
    search: Search = optimise(spec, objective, replicates=replicates, replicas=True)
    figures = best_as_dict(search)
    if json:
        tried = [_tried(candidate, objective) for candidate in search.tried]
        inputs = spec.model_dump(mode="json")
        typer.echo(as_json({"inputs": inputs, "best": figures, "tried": tried}))
        return
    from kolossos.simulate.table import print_search

    print_search(figures, search)


def _tried(candidate: Any, objective: Objective) -> dict[str, Any]:
    recovery = candidate.spec.recovery
    return {
        "checkpoint_interval_s": candidate.interval_s,
        "spare_nodes": recovery.spare_nodes,
        "replicas": recovery.replicas,
        "value": float(candidate.value(objective).mean()),
        "goodput": float(candidate.outcome.goodput.mean()),
    }


def _settings(asked: Asked) -> list[str]:
    interval = asked.checkpoint_interval
    if interval is not None and interval != "auto":
        try:
            interval = repr(float(interval))
        except ValueError:
            raise InputError(f"--checkpoint-interval {interval}: expected seconds, or auto") from None
    given = {
        "failures.table": asked.failures,
        "recovery.spare_nodes": asked.spares,
        "recovery.policy": asked.policy,
        "checkpoint.interval_s": interval,
        "replicates": asked.replicates,
        "seed": asked.seed,
        "tokens": asked.tokens,
    }
    return [f"{key}={value}" for key, value in given.items() if value is not None]
