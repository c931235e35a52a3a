"""What fails, how often, and who notices: one cause a row, in tables with sources."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from kolossos.errors import InputError, nearest
from kolossos.specs.strict import Spec, check_name, read_toml

TABLES = Path(__file__).parent / "tables/failures"
Kind = Literal["gpu", "hbm", "nic", "network", "host", "software", "power", "sdc", "maintenance", "unknown"]
Scope = Literal["job", "gpu", "node", "rack", "fabric", "site"]


class CauseSpec(Spec):
    """One cause of failure. The rate counts wall-clock time of all nodes, whatever the job does meanwhile."""

    name: str
    kind: Kind
    per_1000_node_days: NonNegativeFloat = 0.0
    per_day: NonNegativeFloat = Field(default=0.0, description="more of it, of the job as one, however many nodes")
    scope: Scope = Field(
        default="node",
        description="what is lost: nothing (job), a node (gpu, node), its rack, or all until repaired (fabric, site)",
    )
    detect_s: NonNegativeFloat = 60.0
    repair_s: NonNegativeFloat = Field(default=0.0, description="until the node (fabric, site) can be used again")
    cv: NonNegativeFloat = Field(default=0.0, description="standard deviation over mean of detect_s and repair_s")
    person_share: float = Field(default=0.0, ge=0.0, le=1.0, description="share that waits for a person")
    found_after_s: NonNegativeFloat = Field(
        default=0.0, description="silent for this long (exponential); work done since then is lost"
    )
    go_on_s: NonNegativeFloat | None = Field(
        default=None, description="measured: from noticing until the job runs on, instead of what the policy takes"
    )
    rejoin_s: NonNegativeFloat | None = Field(
        default=None,
        description="measured: from noticing until the replica is back, for replicas that leave and return",
    )


class FailureTable(Spec):
    """Published causes of one system."""

    name: str
    source: str
    grade: str = Field(default="", description="P primary text, A abstract, S secondary, D derived, E estimate")
    note: str = ""
    causes: list[CauseSpec] = Field(min_length=1)


class FailureSpec(Spec):
    """Which table, scaled how, and how rates change with age and from node to node. Names are looked up by
    ``kolossos.simulate.scenario``, once."""

    table: str = "llama3-2024"
    causes: list[CauseSpec] | None = Field(default=None, description="instead of a table")
    only: list[str] | None = Field(default=None, description="names of the table's causes that strike; None: all")
    scale: NonNegativeFloat = Field(default=1.0, description="factor on every rate")
    spacing: Literal["random", "even"] = Field(
        default="random", description="even: each cause strikes at equal distances, from a random first time"
    )
    job_mtbf_s: PositiveFloat | None = Field(
        default=None, description="scales all rates so that the first fleet fails this often, counted without age"
    )
    early_life_factor: NonNegativeFloat = Field(default=0.0, description="rate is (1 + this) times higher at age 0")
    early_life_days: PositiveFloat = 30.0
    wear_out_factor: NonNegativeFloat = Field(default=0.0, description="added to the rate per year after the onset")
    wear_out_after_days: NonNegativeFloat = 1095.0
    lemon_share: float = Field(default=0.0, ge=0.0, lt=1.0, description="repeat offenders; RSC-1: 0.012")
    lemon_factor: float = Field(default=1.0, ge=1.0, description="their rate over that of other nodes")
    lemon_evict_after: PositiveInt | None = Field(default=None, description="failures until one is taken out for good")


def table_names() -> list[str]:
    """Failure tables that come with Kolossos, sorted."""
    return sorted(path.stem for path in TABLES.glob("*.toml"))


def load_table(name_or_path: str) -> FailureTable:
    """A table by name, or a TOML file of the user's, or what `kolossos chaos` measured (JSON); InputError names the
    nearest."""
    path = Path(name_or_path)
    if path.suffix == ".json":
        return _of_chaos(path)
    if path.suffix != ".toml":
        path = TABLES / f"{name_or_path}.toml"
        check_name("failure table", name_or_path)
        if not path.is_file():
            raise InputError(f"unknown failure table '{name_or_path}'{nearest(name_or_path, table_names())}")
    values: dict[str, Any] = read_toml(path)
    return FailureTable.parse({"name": path.stem, **_with_rates(values, str(path))}, str(path))


WHOLE_JOB = ("all replicas killed", "newest checkpoint damaged", "SIGTERM", "disk full")
"""Kinds of faults of a chaos run after which no replica goes on by itself."""


def _of_chaos(path: Path) -> FailureTable:
    """The faults of a chaos run by kind: how many, and the mean times of noticing, going on and coming back.

    Rates are per replica and the run's wall time; ``failures.job_mtbf_s`` puts any other in their place.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kinds = [row for row in found["by_kind"] if row["faults"]]
        replicas = len({replica for fault in found["faults"] for replica in fault["replicas"]})
        days = found["wall_s"]["broken"] / 86_400.0
        step_s = found["wall_s"]["unbroken"] / (1 + max(fault["at_step"] for fault in found["faults"]))
        rows = [_of_chaos_kind(row["kind"], found["faults"], (max(replicas, 1), days, step_s)) for row in kinds]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise InputError(f"{path}: not the JSON of a chaos run ({type(error).__name__}: {error})") from None
    source = f"chaos run of {found.get('date', 'unknown date')}: {found.get('command', '')}"
    return FailureTable.parse({"name": path.stem, "source": source, "grade": "measured", "causes": rows}, str(path))


def _of_chaos_kind(kind: str, faults: list[dict[str, Any]], run: tuple[int, float, float]) -> dict[str, Any]:
    """One kind as a cause; ``run``: replicas, days, seconds of a step.

    Times of a chaos run count from the fault on and end when a step is kept: that step is no loss, and is taken off.
    """
    replicas, days, step_s = run
    mine = [fault for fault in faults if fault["kind"] == kind]
    noticed, went_on, back = (_mean(mine, key) for key in ("noticed_s", "went_on_s", "back_s"))
    detect = min(noticed, went_on)
    whole = any(word in kind for word in WHOLE_JOB)
    rate = {"per_day": len(mine) / days} if whole else {"per_1000_node_days": 1000.0 * len(mine) / days / replicas}
    return {
        "name": kind,
        "kind": "software",
        "scope": "fabric" if whole else "node",
        "detect_s": detect,
        "go_on_s": max(went_on - detect - step_s, 0.0),
        "rejoin_s": max(back - detect - step_s, 0.0),
        **rate,
    }


def _mean(faults: list[dict[str, Any]], key: str) -> float:
    """Mean of a time over the faults that have it; 0 where none has."""
    values = [float(fault[key]) for fault in faults if fault.get(key) is not None]
    return sum(values) / len(values) if values else 0.0


def _with_rates(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Turn a cause's ``count`` over the table's ``observed_node_days`` into its rate: printed counts stay readable.

    With ``of_job = true`` it is a rate of the job as one, over ``observed_days``.
    """
    observed, days = values.pop("observed_node_days", None), values.pop("observed_days", None)
    defaults = values.pop("defaults", {})
    causes = []
    for cause in values.get("causes", []):
        row = {**defaults, **cause}
        if row.pop("of_job", False):
            if not days or "count" not in row:
                raise InputError(f"{where}: cause '{row.get('name')}' is of_job: give its count, and observed_days")
            row["per_day"] = row.pop("count") / days
        elif "count" in row:
            if not observed:
                raise InputError(f"{where}: cause '{row.get('name')}' has a count, but observed_node_days is missing")
            row["per_1000_node_days"] = 1000.0 * row.pop("count") / observed
        causes.append(row)
    return {**values, "causes": causes} if causes else values
