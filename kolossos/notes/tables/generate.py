"""Synthetic worlds in the form of the public tables, for tests and for people without data.

Two camps and a middle group of raters; an answer is 0.31 + rater + quality of the note + rater factor x note factor +
noise, cut at 0.40 and 0.60. The mixture of hidden factors is chosen so that fitted ones come near 11,100 real rater
factors of March 2023 (deviation 0.41; 5, 50 and 95 % at -0.64, -0.13 and 0.62). Dirt is put in on purpose: deleted
notes, ratings of unknown notes, exact duplicates, missing answers, people without enrolment, a ring of raters with
one mind. Everything follows from the seed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kolossos.errors import InputError
from kolossos.files import whole_file
from kolossos.notes.tables.layout import enrollment_table, history_table, notes_table, ratings_table, truth_tables
from kolossos.notes.tables.library import polars
from kolossos.notes.tables.schema import HELPFUL_TAGS, NOT_HELPFUL_TAGS, SNOWFLAKE_EPOCH_MILLIS, TABLES
from kolossos.notes.tables.world import Answers, Dirt, NotesTruth, PeopleTruth, Synthetic

if TYPE_CHECKING:
    import polars as pl

FIRST_DAY_MILLIS = 1772323200000  # 1 March 2026
HOUR_MILLIS, DAY_MILLIS = 3_600_000, 86_400_000
BASE, CUTS = 0.31, (0.40, 0.60)
CAMPS = ((0.52, -0.50, 0.24), (0.30, 0.62, 0.22), (0.18, 0.0, 0.15))  # share, mean, deviation before shrinkage
NEAR_RANDOM, MEDIAN_DELAY_HOURS = 0.06, 6.5
RING_RATERS, RING_NOTES, FEWEST_NOTES_FOR_RING = 8, 60, 300


@dataclass(frozen=True)
class Size:
    """How large a world is; the number of ratings is met up to pairs drawn twice."""

    notes: int = 400
    raters: int = 300
    ratings: int = 10_000
    days: int = 60


def generate_world(size: Size, seed: int) -> Synthetic:
    """A world of ``size``; the same seed gives the same world.

    Raises:
        InputError: more ratings than pairs of a note and a rater.
    """
    if size.ratings > size.notes * size.raters // 2:
        raise InputError(
            f"{size.ratings:,} ratings by {size.raters:,} raters on {size.notes:,} notes: "
            f"give at most half of all pairs, {size.notes * size.raters // 2:,}"
        )
    rng = np.random.default_rng(seed)
    people = _people(rng, size.raters)
    notes = _notes(rng, size, people)
    answers = _answers(rng, size, people, notes)
    return Synthetic(people, notes, answers, _dirt(rng, size, people, notes, len(answers.note_R)), size.days)


def _hex(rng: np.random.Generator, number: int) -> np.ndarray:
    words = rng.integers(0, 2**63, (number, 2), dtype=np.uint64)
    return np.array([f"{a:016X}{b:016X}" for a, b in words], dtype=object)


def _people(rng: np.random.Generator, number: int) -> PeopleTruth:
    shares = np.array([share for share, _, _ in CAMPS])
    camp = rng.choice(len(CAMPS), number, p=shares / shares.sum())
    factor = rng.normal(np.array([m for _, m, _ in CAMPS])[camp], np.array([d for _, _, d in CAMPS])[camp])
    noise = np.where(rng.random(number) < NEAR_RANDOM, 0.75, 0.19)
    group = rng.choice([1, 2, 3, 6, 8, 9, 10, 11, 13, 14], number).astype(np.float64)
    group[rng.random(number) < 0.5] = 13.0
    group[rng.random(number) < 0.09] = 4.0
    group[rng.random(number) < 0.03] = np.nan
    return PeopleTruth(
        id_P=_hex(rng, number),
        factor_P=factor,
        intercept_P=rng.normal(0.0, 0.107, number),
        noise_P=noise,
        activity_P=rng.lognormal(0.0, 1.0, number),
        group_P=group,
        enrolled_P=rng.random(number) >= 0.03,
        ring_P=np.zeros(number, bool),
    )


def _notes(rng: np.random.Generator, size: Size, people: PeopleTruth) -> NotesTruth:
    n = size.notes
    created = FIRST_DAY_MILLIS + rng.integers(0, size.days * DAY_MILLIS, n)
    created.sort()
    ids = ((created - SNOWFLAKE_EPOCH_MILLIS) << 22) + rng.permutation(1 << 22)[np.arange(n) % (1 << 22)]
    posts = (
        (created - rng.integers(HOUR_MILLIS // 4, 12 * HOUR_MILLIS, n) - SNOWFLAKE_EPOCH_MILLIS) << 22
    ) + np.arange(n)
    shares_post = (rng.random(n) < 0.2) & (np.arange(n) > 0)
    for k in np.flatnonzero(shares_post):
        posts[k] = posts[k - 1]
    output = rng.pareto(1.5, len(people.id_P)) + 0.05
    author = rng.choice(len(people.id_P), n, p=output / output.sum())
    author_quality = rng.normal(0.0, 0.14, len(people.id_P))
    quality = author_quality[author] + rng.normal(0.12, 0.28, n)
    factor = rng.normal(0.0, 0.58, n)
    abusive = rng.random(n) < 0.025
    return NotesTruth(
        id_N=ids,
        post_N=posts,
        author_N=author,
        created_N=created,
        quality_N=np.where(abusive, -0.35, quality),
        factor_N=np.where(abusive, factor * 0.3, factor),
        abusive_N=abusive,
        hidden_error_N=(quality > 0.1) & (rng.random(n) < 0.10),
        not_misleading_N=rng.random(n) < 0.10,
        popularity_N=rng.lognormal(0.0, 0.9, n),
        deleted_N=rng.random(n) < 0.015,
    )


def _pairs(
    rng: np.random.Generator, size: Size, people: PeopleTruth, notes: NotesTruth
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs of note and rater, drawn by popularity and activity until there are enough."""
    p_note = notes.popularity_N / notes.popularity_N.sum()
    p_rater = people.activity_P / people.activity_P.sum()
    keys = np.zeros(0, np.int64)
    for _ in range(40):
        missing = size.ratings - len(keys)
        if missing <= 0:
            break
        note = rng.choice(size.notes, missing + 16, p=p_note).astype(np.int64)
        rater = rng.choice(size.raters, missing + 16, p=p_rater)
        keys = np.unique(np.concatenate([keys, note * size.raters + rater]))
    keys = rng.permutation(keys)[: size.ratings]
    keys.sort()
    return keys // size.raters, keys % size.raters


def _answers(rng: np.random.Generator, size: Size, people: PeopleTruth, notes: NotesTruth) -> Answers:
    note_R, rater_R = _pairs(rng, size, people, notes)
    own = notes.author_N[note_R] == rater_R
    note_R, rater_R = note_R[~own], rater_R[~own]
    raw = (
        BASE
        + people.intercept_P[rater_R]
        + notes.quality_N[note_R]
        + people.factor_P[rater_R] * notes.factor_N[note_R]
        + rng.normal(0.0, 1.0, len(note_R)) * people.noise_P[rater_R]
    )
    answer_R = np.where(raw >= CUTS[1], 1.0, np.where(raw >= CUTS[0], 0.5, 0.0))
    delay = rng.lognormal(np.log(MEDIAN_DELAY_HOURS * HOUR_MILLIS), 1.2, len(note_R)).astype(np.int64)
    created_R = notes.created_N[note_R] + 60_000 + delay
    inside = created_R < FIRST_DAY_MILLIS + size.days * DAY_MILLIS
    note_R, rater_R, answer_R, created_R = note_R[inside], rater_R[inside], answer_R[inside], created_R[inside]
    if size.notes >= FEWEST_NOTES_FOR_RING:
        answer_R, created_R = _with_ring(rng, people, (note_R, rater_R, answer_R, created_R))
    helpful, not_helpful = _tags(rng, notes, people, (note_R, rater_R, answer_R))
    sampled_R = rng.random(len(note_R)) < 0.12
    order = np.lexsort((rater_R, note_R, created_R))
    return Answers(
        note_R[order], rater_R[order], answer_R[order], created_R[order], helpful[order], not_helpful[order],
        sampled_R[order],
    )  # fmt: skip


def _with_ring(
    rng: np.random.Generator, people: PeopleTruth, rows: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Eight busy raters who give one answer, minutes apart, on every note that two of them rate."""
    note_R, rater_R, answer_R, created_R = rows
    ring = np.argsort(-people.activity_P)[:RING_RATERS]
    people.ring_P[ring] = True
    members = np.flatnonzero(people.ring_P[rater_R])
    leader: dict[int, int] = {}
    answer_R, created_R = answer_R.copy(), created_R.copy()
    for r in members:
        first = leader.setdefault(int(note_R[r]), int(r))
        if first != r and len(leader) <= RING_NOTES:
            answer_R[r] = answer_R[first]
            created_R[r] = created_R[first] + int(rng.integers(1_000, 9 * 60_000))
    return answer_R, created_R


def _tags(
    rng: np.random.Generator, notes: NotesTruth, people: PeopleTruth, rows: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Tags by answer: shapes (R, 9) and (R, 13). Hidden errors and abuse show in their tags."""
    note_R, rater_R, answer_R = rows
    number = len(note_R)
    helpful = rng.random((number, len(HELPFUL_TAGS))) < 0.40
    helpful &= (answer_R >= 0.5)[:, None]
    quality = notes.quality_N[note_R]
    chance = np.full((number, len(NOT_HELPFUL_TAGS)), 0.10)
    against = np.maximum(-people.factor_P[rater_R] * notes.factor_N[note_R], 0.0)
    chance[:, NOT_HELPFUL_TAGS.index("notHelpfulOpinionSpeculationOrBias")] += against
    chance[:, NOT_HELPFUL_TAGS.index("notHelpfulNoteNotNeeded")] += 0.10
    chance[:, NOT_HELPFUL_TAGS.index("notHelpfulSourcesMissingOrUnreliable")] += np.clip(-quality, 0.0, 0.5)
    chance[:, NOT_HELPFUL_TAGS.index("notHelpfulIncorrect")] += np.clip(-quality, 0.0, 0.3)
    chance[:, NOT_HELPFUL_TAGS.index("notHelpfulIncorrect")] += 0.4 * notes.hidden_error_N[note_R]
    chance[:, NOT_HELPFUL_TAGS.index("notHelpfulSpamHarassmentOrAbuse")] += 0.7 * notes.abusive_N[note_R]
    not_helpful = (rng.random(chance.shape) < chance) & (answer_R <= 0.5)[:, None]
    return helpful, not_helpful


def _dirt(rng: np.random.Generator, size: Size, people: PeopleTruth, notes: NotesTruth, ratings: int) -> Dirt:
    some = max(ratings // 1000, 1)
    unknown = max(3 * ratings // 1000, 1)
    times = FIRST_DAY_MILLIS + rng.integers(0, size.days * DAY_MILLIS, unknown)
    return Dirt(
        repeated=rng.choice(ratings, min(some, ratings), replace=False) if ratings else np.zeros(0, np.int64),
        unanswered=rng.choice(ratings, min(some, ratings), replace=False) if ratings else np.zeros(0, np.int64),
        unknown_note=((times - 10 * 365 * DAY_MILLIS // 10 - SNOWFLAKE_EPOCH_MILLIS) << 22) + np.arange(unknown),
        unknown_rater=rng.integers(0, len(people.id_P), unknown),
        unknown_time=times,
    )


def tables_of(world: Synthetic) -> dict[str, "pl.DataFrame"]:
    """The world as tables by name: the public ones in the official column order, and two with its hidden values."""
    return {
        "notes": notes_table(world),
        "ratings": ratings_table(world),
        "noteStatusHistory": history_table(world),
        "userEnrollment": enrollment_table(world),
        **truth_tables(world),
    }


def write_world(world: Synthetic, folder: Path) -> dict[str, int]:
    """Write the tables as ``NAME-00000.tsv`` and return their rows.

    Raises:
        InputError: the folder already holds one of them.
    """
    polars()
    if folder.exists() and any(p.name.startswith(tuple(TABLES)) for p in folder.iterdir()):
        raise InputError(f"{folder} already holds tables; give a folder that does not exist or is empty")
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, table in tables_of(world).items():
        with whole_file(folder / f"{name}-00000.tsv") as file:
            table.write_csv(file, separator="\t")
        rows[name] = table.height
    return rows
