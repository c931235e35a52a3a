"""The options that ``kolossos simulate`` and ``optimise`` share: a model on a cluster, or a file with everything."""

from pathlib import Path
from typing import Any

from kolossos.cli.options import value_of
from kolossos.errors import InputError
from kolossos.simulate.build import growth_of, operation_of, read_operation
from kolossos.simulate.scenario import Scenario, resolve

DEFAULT_DAYS = 90.0


def scenario_of(
    model: str | None,
    cluster: str,
    json_input: Path | None,
    *,
    days: float | None,
    grow: str | None,
    step_time: float | None,
    tokens_per_step: float | None,
    settings: dict[str, Any],
    overrides: list[str],
) -> Scenario:
    """The run that was asked for; ``settings`` are keys of the operation that have options of their own (None: not
    said), before ``overrides``. InputError says in one line what cannot be."""
    changes = [f"{key}={value}" for key, value in settings.items() if value is not None]
    if json_input is not None:
        if model is not None:
            raise InputError(f"MODEL ({model}) and --json-input: give one of the two")
        with_model = {"--grow": (grow, "fleet.growth"), "--step-time": (step_time, "step.time_s"),
                      "--tokens-per-step": (tokens_per_step, "step.tokens")}  # fmt: skip
        for option, (value, key) in with_model.items():
            if value is not None:
                raise InputError(f"{option} goes with MODEL; in {json_input} it is {key}")
        if days is not None:
            changes.append(f"days={days!r}")
        return resolve(read_operation(json_input, [*changes, *overrides]))
    if model is None:
        raise InputError("no MODEL; for example: kolossos simulate grok-1 --cluster colossus-100k")
    bounds = {"--days": (days, 1e5), "--step-time": (step_time, 1e7), "--tokens-per-step": (tokens_per_step, 1e12)}
    for option, (value, most) in bounds.items():
        if value is not None and not 0 < value <= most:
            raise InputError(f"{option} {value:g}: must be above 0, and at most {most:g}")
    days = DEFAULT_DAYS if days is None else days
    with value_of("--grow"):
        growth = growth_of(grow, days) if grow else []
    operation = operation_of(
        model, cluster, days=days, growth=growth, step_time_s=step_time, tokens_per_step=tokens_per_step,
        overrides=[*changes, *overrides],
    )  # fmt: skip
    return resolve(operation)


def interval_setting(text: str | None) -> str | None:
    """Seconds between checkpoints, or auto, as it was said."""
    if text is None or text == "auto":
        return text
    try:
        return repr(float(text))
    except ValueError:
        raise InputError(f"--checkpoint-interval {text}: expected seconds, or auto") from None
