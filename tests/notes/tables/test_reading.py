"""Tables are read by column name, whatever their order and age, and a wrong cell is named."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.notes.tables.read import read_tables
from kolossos.notes.tables.schema import snowflake_millis

BIG = 2027900028004720271  # odd and above 2^53: a float would change it
RATINGS = "noteId\traterParticipantId\tcreatedAtMillis\thelpfulnessLevel\tnotHelpfulIncorrect\n"


def folder_with(folder: Path, **tables: str) -> Path:
    folder.mkdir(exist_ok=True)
    contents = {"notes": f"noteId\tcreatedAtMillis\n{BIG}\t1772324017893\n", "ratings": RATINGS} | tables
    for name, text in contents.items():
        (folder / f"{name.replace('__', '-')}.tsv").write_text(text, encoding="utf-8")
    return folder


def test_ids_above_two_to_the_53_keep_every_digit(tmp_path: Path) -> None:
    tables = read_tables(folder_with(tmp_path, ratings=RATINGS + f"{BIG}\tA\t1772324017900\tHELPFUL\t0\n"))
    assert tables.ratings["noteId"].to_list() == [BIG]
    assert tables.notes["noteId"].dtype == pl.Int64


def test_an_id_stored_as_a_float_is_refused(tmp_path: Path) -> None:
    folder_with(tmp_path)
    (tmp_path / "notes.tsv").unlink()
    pl.DataFrame({"noteId": [float(BIG)], "createdAtMillis": [1]}).write_parquet(tmp_path / "notes.parquet")
    with pytest.raises(InputError, match=r"notes\.parquet, column noteId: stored as floating point"):
        read_tables(tmp_path)


def test_older_names_and_another_order_of_columns_mean_the_same(tmp_path: Path) -> None:
    old = (
        "notHelpfulArgumentativeOrInflammatory\thelpful\tnotHelpful\tparticipantId\tcreatedAtMillis\tnoteId\n"
        f"1\t0\t1\tA\t5\t{BIG}\n"
    )
    history = f"participantId\tnoteId\ttimestampMillisOfMostRecentNonNMRStatus\tlatestNonNMRStatus\nB\t{BIG}\t-1\t\n"
    tables = read_tables(folder_with(tmp_path, ratings=old, noteStatusHistory=history))
    rating = tables.ratings.row(0, named=True)
    assert (rating["raterParticipantId"], rating["notHelpful"], rating["notHelpfulArgumentativeOrBiased"]) == (
        "A",
        1,
        1,
    )
    assert tables.history.row(0, named=True)["noteAuthorParticipantId"] == "B"
    assert tables.history["timestampMillisOfLatestNonNMRStatus"].to_list() == [-1.0]
    assert "participantId" in tables.files[1].renamed


def test_split_files_are_one_table_and_parquet_says_the_same_as_tsv(tmp_path: Path) -> None:
    rows = [f"{BIG}\tA\t7\tHELPFUL\t0\n", f"{BIG}\tB\t8\tNOT_HELPFUL\t1\n"]
    split = folder_with(tmp_path / "split")
    (split / "ratings.tsv").unlink()
    for k, row in enumerate(rows):
        (split / f"ratings-0000{k}.tsv").write_text(RATINGS + row)
    tables = read_tables(split)
    assert tables.ratings["raterParticipantId"].to_list() == ["A", "B"]
    whole = folder_with(tmp_path / "parquet")
    for name in ("notes", "ratings"):
        (whole / f"{name}.tsv").unlink()
    tables.notes.write_parquet(whole / "notes.parquet")
    tables.ratings.write_parquet(whole / "ratings.parquet")
    assert read_tables(whole).ratings.equals(tables.ratings)


@pytest.mark.parametrize(
    ("row", "column", "cell"),
    [
        (f"{BIG}\tA\tyesterday\tHELPFUL\t0\n", "createdAtMillis", "'yesterday'"),
        (f"{BIG}\tA\t7\tHELPFUL\t2\n", "notHelpfulIncorrect", "'2'"),
        (f"{BIG}.5\tA\t7\tHELPFUL\t0\n", "noteId", f"'{BIG}.5'"),
        ("99999999999999999999\tA\t7\tHELPFUL\t0\n", "noteId", "'99999999999999999999'"),
        ("\tA\t7\tHELPFUL\t0\n", "noteId", "empty"),
    ],
)
def test_a_wrong_cell_is_named_by_file_row_and_column(tmp_path: Path, row: str, column: str, cell: str) -> None:
    good = f"{BIG}\tA\t7\tHELPFUL\t0\n"
    with pytest.raises(InputError) as caught:
        read_tables(folder_with(tmp_path, ratings=RATINGS + good + good + row))
    assert "ratings.tsv, row 3" in str(caught.value)
    assert f"column {column}: {cell} is not" in str(caught.value)


def test_padded_cells_decimal_points_and_nan_are_understood(tmp_path: Path) -> None:
    tables = read_tables(folder_with(tmp_path, ratings=RATINGS + f" {BIG} \tA\t7.0\tHELPFUL\tnan\n"))
    assert tables.ratings["noteId"].to_list() == [BIG]
    assert tables.ratings["createdAtMillis"].to_list() == [7.0]
    assert tables.ratings["notHelpfulIncorrect"].to_list() == [None]


def test_a_byte_order_mark_and_a_summary_with_tabs_quotes_and_lines_do_no_harm(tmp_path: Path) -> None:
    notes = f'\ufeffnoteId\tcreatedAtMillis\tsummary\n{BIG}\t5\t"a ""quoted""\ttab\nand a line"\n'
    tables = read_tables(folder_with(tmp_path, notes=notes))
    assert tables.notes["summary"].to_list() == ['a "quoted"\ttab\nand a line']


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.tsv").write_text("noteId\n")
    with pytest.raises(InputError, match="holds no ratings table"):
        read_tables(tmp_path / "empty")
    with pytest.raises(InputError, match="raterParticipantId or participantId is missing"):
        read_tables(folder_with(tmp_path / "column", ratings="noteId\tcreatedAtMillis\n1\t2\n"))
    with pytest.raises(InputError, match="is not a folder"):
        read_tables(tmp_path / "nowhere")
    both = folder_with(tmp_path / "both")
    pl.DataFrame({"noteId": [1]}).write_parquet(both / "notes-00001.parquet")
    with pytest.raises(InputError, match="both as TSV and as parquet"):
        read_tables(both)


def test_rubbish_is_one_clear_error(tmp_path: Path) -> None:
    folder_with(tmp_path)
    (tmp_path / "ratings.tsv").unlink()
    (tmp_path / "ratings.parquet").write_bytes(b"PAR1 this is no parquet")
    with pytest.raises(InputError, match=r"ratings\.parquet cannot be read as parquet"):
        read_tables(tmp_path)


def test_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    import hashlib

    tables = read_tables(folder_with(tmp_path))
    for file in tables.files:
        assert file.sha256 == hashlib.sha256(Path(file.path).read_bytes()).hexdigest()


def test_the_time_in_an_id_is_that_of_the_table(tmp_path: Path) -> None:
    assert snowflake_millis((123_456_789 << 22) + 17) == 1288834974657 + 123_456_789


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.booleans(),
    rows=st.lists(
        st.lists(
            st.one_of(st.just(str(BIG)), st.just("HELPFUL"), st.just("7"), st.text(max_size=12), st.just('"')),
            min_size=0,
            max_size=7,
        ),
        max_size=6,
    ),
    tail=st.binary(max_size=20),
)
def test_any_text_is_read_or_refused_in_one_line(
    tmp_path: Path, header: bool, rows: list[list[str]], tail: bytes
) -> None:
    folder = folder_with(tmp_path)
    body = "".join("\t".join(cells) + "\n" for cells in rows).encode("utf-8", "replace")
    (folder / "ratings.tsv").write_bytes((RATINGS.encode() if header else b"") + body + tail)
    said = None
    try:
        assert read_tables(folder).ratings["noteId"].null_count() == 0
    except InputError as error:
        said = str(error)
    assert said is None or ("ratings.tsv" in said and "\n" not in said)
