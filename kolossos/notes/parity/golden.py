"""A golden folder: the tables, and what the official scorer stored about them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.score.columns import Participants, World
from kolossos.notes.score.final_round import RaterParameters
from kolossos.notes.score.prepare import prepare
from kolossos.notes.tables.library import polars
from kolossos.notes.tables.read import Tables, read_tables

if TYPE_CHECKING:
    import polars as pl

STATES = ("cutoff_day05", "cutoff_day10", "cutoff_day20", "frozen_day10_final_day12")
DAY_MILLIS = 86_400_000


@dataclass(frozen=True)
class Golden:
    """One set, or one moment of it: its world, its stored tables by name, and the figures of result.json."""

    name: str
    folder: Path
    world: World
    figures: dict[str, Any]
    tables: Tables

    def core_figures(self) -> dict[str, Any]:
        """The figures of the official core run (seed 1)."""
        return self.figures.get("core", {}).get("seed1", self.figures)

    def stored(self, name: str) -> "pl.DataFrame | None":
        """The stored table ``name``, or None where the set has none."""
        path = self.folder / f"{name}.parquet"
        return polars().read_parquet(path) if path.exists() else None


def open_golden(folder: Path) -> list[Golden]:
    """The set in ``folder`` and the earlier moments stored with it.

    Raises:
        InputError: a file of the set is missing or unreadable.
    """
    result = folder / "result.json"
    if not result.exists():
        raise InputError(f"{folder} is no golden folder: it has no result.json beside its tables")
    try:
        figures = json.loads(result.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{result} is not JSON: {error}") from error
    tables = read_tables(folder, hashes=False)
    found = [Golden(figures.get("name", folder.name), folder, prepare(tables), figures, tables)]
    for state in STATES:
        if (folder / state).is_dir():
            found.append(_moment(folder, state, figures))
    return found


def _moment(folder: Path, state: str, figures: dict[str, Any]) -> Golden:
    """What could be seen at a stored moment: earlier notes and ratings, that moment's history and clusters."""
    pl = polars()
    key = next((k for k in figures.get("cutoffs", {}) if _same_moment(k, state)), None)
    if key is None:
        raise InputError(f"{folder}/result.json says nothing of {state}")
    about = figures["cutoffs"][key]
    tables = read_tables(folder, hashes=False, history=folder / state)
    cutoff = float(about.get("finalCutoffMillis", about.get("cutoffMillis", 0)))
    before = pl.col("createdAtMillis") < cutoff
    tables = tables.__class__(
        **{**tables.__dict__, "notes": tables.notes.filter(before), "ratings": tables.ratings.filter(before)}
    )
    return Golden(f"{figures.get('name', folder.name)} {state}", folder / state, prepare(tables, cutoff), about, tables)


def _same_moment(key: str, state: str) -> bool:
    plain = state.replace("cutoff_", "").replace("day0", "day")
    return plain == key or state == key


def codes(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Index in the sorted array ``known`` of each value; -1 where it is absent."""
    if not len(known):
        return np.full(len(values), -1)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[at] == values, at, -1)


def spread(values: np.ndarray, at: np.ndarray, size: int, fill: Any = np.nan) -> np.ndarray:
    """``values`` laid out at the indices ``at`` of an array of ``size``; rows at -1 are left out."""
    out = np.full(size, fill)
    out[at[at >= 0]] = values[at >= 0]
    return out


def official_raters(golden: Golden, participants: Participants) -> RaterParameters:
    """The frozen parameters that the official prescoring handed to its final round.

    Raises:
        InputError: the set does not hold them.
    """
    table = golden.stored("prescoring_raters")
    core = golden.core_figures()
    if table is None or "globalIntercept" not in core:
        raise InputError(f"{golden.folder} holds no prescoring_raters or no global intercept")
    at = codes(table["raterParticipantId"].to_numpy(), participants.id_P)

    def column(name: str) -> np.ndarray:
        return spread(numbers(table, name), at, len(participants))

    return RaterParameters(
        intercept_P=column("internalRaterIntercept"),
        factor_P=column("internalRaterFactor1"),
        helpful_P=np.nan_to_num(column("aboveHelpfulnessThreshold")) > 0,
        incorrect_tags_P=np.nan_to_num(column("incorrectTagRatingsMadeByRater")),
        tagged_ratings_P=np.nan_to_num(column("totalRatingsMadeByRater")),
        mu=float(core["globalIntercept"]),
        ratings_per_note=core["finalRoundNumRatings"] / core["finalRoundNumNotes"],
    )


def numbers(table: "pl.DataFrame", name: str) -> np.ndarray:
    """A column as float64, NaN where it is missing."""
    return table[name].cast(polars().Float64).fill_null(float("nan")).to_numpy()
