"""What fails, how often, and who notices: one cause a row, in tables with sources."""

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
    per_1000_node_days: NonNegativeFloat
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
    scale: NonNegativeFloat = Field(default=1.0, description="factor on every rate")
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
    """A table by name, or a TOML file of the user's; InputError names the nearest."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = TABLES / f"{name_or_path}.toml"
        check_name("failure table", name_or_path)
        if not path.is_file():
            raise InputError(f"unknown failure table '{name_or_path}'{nearest(name_or_path, table_names())}")
    values: dict[str, Any] = read_toml(path)
    return FailureTable.parse({"name": path.stem, **_with_rates(values, str(path))}, str(path))


def _with_rates(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Turn a cause's ``count`` over the table's ``observed_node_days`` into its rate: printed counts stay readable."""
    observed = values.pop("observed_node_days", None)
    defaults = values.pop("defaults", {})
    causes = []
    for cause in values.get("causes", []):
        row = {**defaults, **cause}
        if "count" in row:
            if not observed:
                raise InputError(f"{where}: cause '{row.get('name')}' has a count, but observed_node_days is missing")
            row["per_1000_node_days"] = 1000.0 * row.pop("count") / observed
        causes.append(row)
    return {**values, "causes": causes} if causes else values
