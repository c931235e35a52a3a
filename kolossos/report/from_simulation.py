"""The JSON of `kolossos simulate --json` in the keys of a plan, as far as it has them."""

from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.catalogue import load_model

JOULES_PER_MWH = 3.6e9


def as_plan(values: dict[str, Any], path: Path) -> tuple[dict[str, Any], list[str]]:
    """The plan's keys of a simulation, and what had to be assumed.

    Model and cluster are in its name ("grok-1 on colossus-100k"); the layout is not there, so recompute and the
    sequence length are assumed. InputError where the file lacks what only it can say.
    """
    model, separator, cluster = str(values.get("name", "")).partition(" on ")
    if not separator:
        raise InputError(
            f"{path}: key 'name' = {values.get('name')!r}: expected 'MODEL on CLUSTER', as `kolossos simulate` names it"
        )
    seq_len = load_model(model).max_seq_len
    try:
        fleet = values["inputs"]["fleet"]
        n_gpus = fleet["gpus"] + sum(lot["gpus"] for lot in fleet["growth"])
        energy = {name: value * JOULES_PER_MWH for name, value in values["energy_mwh"].items()}
        plan = {
            "model": model,
            "cluster": cluster,
            "tokens": values["tokens"],
            "model_flops": None,
            "energy_joules": energy,
            "cost_usd": values.get("cost_usd"),
            "days": values["days"],
            "n_gpus": n_gpus,
            "layout": {"seq_len": seq_len, "micro_batch_size": 1, "global_batch_size": 1},
            "goodput": values["goodput"],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not as `kolossos simulate --json` prints it: {error} is missing or wrong") from None
    remarks = [
        f"A simulation does not state the layout: sequences are taken as long as the model allows ({seq_len:,} "
        "tokens), and recompute as none, so 'executed' may be too low.",
        "Tokens, time, energy and cost are medians over the simulated replicates; the GPUs are those at the end.",
    ]
    return plan, remarks
