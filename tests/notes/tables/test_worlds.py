"""Synthetic worlds: the same seed gives the same bytes, and their dirt is found again."""

from pathlib import Path

import polars as pl
import pytest

from kolossos.errors import InputError
from kolossos.notes.tables.contradictions import contradictions
from kolossos.notes.tables.generate import Size, generate_world, write_world
from kolossos.notes.tables.read import read_tables

SMALL = Size(notes=120, raters=90, ratings=2500, days=20)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_world(generate_world(SMALL, seed), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    assert (tmp_path / "a/ratings-00000.tsv").read_bytes() != (tmp_path / "c/ratings-00000.tsv").read_bytes()


def test_every_kind_of_dirt_that_was_put_in_is_counted(tmp_path: Path) -> None:
    world = generate_world(SMALL, 1)
    write_world(world, tmp_path)
    tables = read_tables(tmp_path)
    found = {kind.name: kind.rows for kind in contradictions(tables)}
    deleted = set(world.notes.id_N[world.notes.deleted_N].tolist())
    assert found["exactly equal rating rows"] == 2 * len(world.dirt.repeated)
    assert found["ratings of notes in neither table"] == len(world.dirt.unknown_note)
    assert found["ratings of deleted notes"] == tables.ratings["noteId"].is_in(list(deleted)).sum()
    assert found["ratings without an answer"] >= len(world.dirt.unanswered)
    assert found["different ratings by one rater on one note"] == 0
    assert found["ratings before their note"] == 0
    assert found["notes whose time is not that of their id"] == 0


def test_conflicting_rows_and_ratings_before_their_note_are_counted_with_an_example(tmp_path: Path) -> None:
    write_world(generate_world(SMALL, 2), tmp_path)
    path = tmp_path / "ratings-00000.tsv"
    table = pl.read_csv(path, separator="\t", infer_schema=False)
    answered = table.filter(pl.col("helpfulnessLevel") == "HELPFUL")[:1]
    other = answered.with_columns(helpfulnessLevel=pl.lit("NOT_HELPFUL"), createdAtMillis=pl.lit("1600000000000"))
    pl.concat([table, other]).write_csv(path, separator="\t")
    found = {kind.name: kind for kind in contradictions(read_tables(tmp_path))}
    assert found["different ratings by one rater on one note"].rows == 2
    assert answered["raterParticipantId"][0] in found["different ratings by one rater on one note"].example
    assert found["ratings before their note"].rows == 1


def test_a_world_keeps_its_promises_of_size_and_order() -> None:
    world = generate_world(SMALL, 3)
    answers = world.answers
    assert 0.8 * SMALL.ratings < len(answers.note_R) <= SMALL.ratings
    assert (answers.created_R[1:] >= answers.created_R[:-1]).all()
    assert (answers.created_R > world.notes.created_N[answers.note_R]).all()
    pairs = answers.note_R * SMALL.raters + answers.rater_R
    assert len(set(pairs.tolist())) == len(pairs)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write_world(generate_world(SMALL, 1), tmp_path)
    before = (tmp_path / "notes-00000.tsv").read_bytes()
    with pytest.raises(InputError, match="already holds tables"):
        write_world(generate_world(SMALL, 2), tmp_path)
    assert (tmp_path / "notes-00000.tsv").read_bytes() == before


def test_more_ratings_than_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="at most half of all pairs, 50"):
        generate_world(Size(notes=10, raters=10, ratings=51), 1)
