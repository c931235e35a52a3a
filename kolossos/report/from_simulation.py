"""The JSON of a simulation as the subject of a report.

It states no layout, so recompute and the sequence length are assumed. ``inputs`` names model and cluster and holds the
fleet with the lots that join later.
"""

from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.report.figures import carbon_of, cluster_of, estimate, hardware_rows, points_of
from kolossos.report.subject import Subject
from kolossos.specs.catalogue import load_model
from kolossos.specs.layout import Layout

JOULES_PER_MWH = 3.6e9
SECONDS_PER_DAY = 86400.0
WHAT = "simulated"


def subject_of_simulation(values: dict[str, Any], path: Path) -> Subject:
    """What the simulation says; InputError where the file lacks what only it can say."""
    try:
        inputs = values["inputs"]
        model_name, cluster_name, pools = inputs["model"], inputs["cluster"], _pools(inputs["fleet"])
        tokens = points_of(values["tokens"], "tokens", path)
        days = points_of(values["days"], "days", path)
        energy = estimate(points_of(values["energy_mwh"], "energy_mwh", path), JOULES_PER_MWH, "J", WHAT)
        cost = estimate(points_of(values["cost_usd"], "cost_usd", path, may_be_unknown=True), 1.0, "USD", WHAT)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not the JSON that `kolossos simulate` prints: {error} is missing or wrong") from None
    for key, name in (("model", model_name), ("cluster", cluster_name)):
        if not isinstance(name, str):
            raise InputError(f"{path}: key 'inputs.{key}' = {name!r}: expected a name of the catalogue")
    model = load_model(model_name)
    cluster, remarks = cluster_of(cluster_name)
    layout = Layout(seq_len=model.max_seq_len, micro_batch_size=1, global_batch_size=1, precision="bf16")
    n_gpus = sum(count for _, count in pools)
    return Subject(
        kind="simulation",
        name=f"{model.name} on {cluster_name}",
        path=str(path),
        state=f"{WHAT}: nothing has run; every figure of time, energy and cost is an estimate",
        model=model,
        tokens=tokens[1],
        tokens_intended=tokens[1],
        seq_len=layout.seq_len,
        recompute=layout.recompute,
        precision=layout.precision,
        given_model_flops=None,
        n_gpus=n_gpus,
        hardware=hardware_rows(cluster_name, n_gpus, pools, cluster),
        seconds=estimate(days, SECONDS_PER_DAY, "s", WHAT),
        energy=energy,
        cost=cost,
        carbon=carbon_of(energy, cluster),
        data=[("tokens", f"{tokens[1]:,.0f}"), ("sources", "a plan names none: state them before training")],
        layout=layout.model_dump(),
        remarks=[
            f"A simulation does not state the layout: sequences are taken as long as the model allows "
            f"({layout.seq_len:,} tokens), and recompute as none, so 'executed' may be too low.",
            "Tokens, time, energy and cost are medians over the simulated replicates; the GPUs are those at the end.",
            *remarks,
        ],
    )


def _pools(fleet: dict[str, Any]) -> list[tuple[str, int]]:
    """What is there at the start, then what joins on which day; lots of one kind and day are one."""
    counts = {f"pool of {fleet['gpu']}": fleet["gpus"]}
    for lot in sorted(fleet["growth"], key=_join_day):
        day = _join_day(lot)
        what = f"{lot['gpu']} from day {day:g}" if day else f"pool of {lot['gpu']}"
        counts[what] = counts.get(what, 0) + lot["gpus"]
    return list(counts.items())


def _join_day(lot: dict[str, Any]) -> float:
    return lot["day"] if lot["join_day"] is None else lot["join_day"]
