"""An index in PostgreSQL answers as the one in a folder: same filters, same words, same order."""

import pytest
from made_sources import START, made_sources
from test_search_index import fields, passes, plain_words

from kolossos.errors import InputError
from kolossos.ground.fill import fill
from kolossos.ground.index import open_index
from kolossos.ground.index.open import open_store
from kolossos.ground.query import parse_query
from kolossos.ground.reading.options import ReadOptions
from kolossos.ground.source import Query, Source

SOURCES = made_sources(200, seed=3)
QUERIES = (
    "whale storms",
    '"ship sail"',
    "from:ann wind -rope",
    "anchor kind:note lang:en",
    "since:2023-02 until:2023-06-15 deck -captain",
    "kind:document",
    "the",
    "has:note from:čapek",
    "-has:note harbour since:2023-12",
)


@pytest.fixture(params=["words", "vectors"])
def both(request, postgres, tmp_path, model_folder):
    """(folder, database) with the same sources."""
    model = model_folder if request.param == "vectors" else None
    places = (str(tmp_path / "index"), f"{postgres.url}#{''.join(c for c in tmp_path.name if c.isalnum())}")
    for place in places:
        with open_store(place, model).writing() as writer:
            writer.write(SOURCES, "made")
            writer.finish()
    return places


def test_the_same_queries_find_the_same_in_the_same_order(both) -> None:
    folder, database = (open_index(place) for place in both)
    for text in QUERIES:
        query = parse_query(text)
        one, other = folder.search(query, 1000), database.search(query, 1000)
        assert {h.passage for h in one} == {h.passage for h in other}, text
        scores = {h.passage: h.score for h in one}
        for hit in other[:20]:
            assert hit.score == pytest.approx(scores[hit.passage], abs=0.05), text  # lengths are rounded in tantivy


def test_filters_of_the_database_let_through_what_a_scan_does(both) -> None:
    database = open_index(both[1])
    for query in (
        Query("", author="bob", kind="post"),
        Query("", since=START, has_note=True),
        Query("", language="de"),
    ):
        found = {hit.passage.source for hit in database.search(query, 1000)}
        assert found == {source for source in SOURCES if passes(source, query)}
    phrase = Query("", phrases=("whale ship",), kind="post")
    found = {hit.passage.source for hit in database.search(phrase, 1000)}
    assert found == {s for s in SOURCES if s.kind == "post" and " whale ship " in f" {' '.join(plain_words(s.text))} "}


def test_a_database_is_brought_up_to_date_by_one_writer_at_a_time(both) -> None:
    store = open_store(both[1])
    with store.writing() as writer:
        with pytest.raises(InputError, match="written by another process"), open_store(both[1]).writing():
            pass
        changed = [Source(**{**fields(s), "text": s.text + " lighthouse"}) for s in SOURCES[:5]]
        counts = writer.write([*changed, *SOURCES[5:20], Source("new", "post", "A lighthouse")], "made")
        assert (counts.added, counts.changed, counts.unchanged) == (1, 5, 15)
        assert writer.delete(keys=["new"]) == 1
        assert writer.delete(author="@ANN") == sum(s.author == "Ann" for s in SOURCES)
    found = open_index(both[1]).search(Query("lighthouses", phrases=("lighthouse",)), 100)
    assert {h.passage.source.key for h in found} == {s.key for s in SOURCES[:5] if s.author != "Ann"}


def test_a_source_that_left_its_file_is_removed_where_that_is_asked(postgres, tmp_path) -> None:
    place, file = f"{postgres.url}#vanished", tmp_path / "posts.jsonl"
    lines = ['{"id": 1, "text": "one ship"}\n', '{"id": 2, "text": "two ships"}\n']
    file.write_text("".join(lines))
    assert fill(open_store(place), [str(file)], ReadOptions()).counts.added == 2
    file.write_text(lines[1])
    assert fill(open_store(place), [str(file)], ReadOptions(), sync=True).counts.removed == 1
    assert [h.passage.source.key for h in open_index(place).search(Query("ship"))] == ["2"]


def test_a_database_without_an_index_and_one_that_is_not_there_are_refused_in_one_line(postgres) -> None:
    with pytest.raises(InputError, match="holds no index"):
        open_index(f"{postgres.url}#empty")
    with pytest.raises(InputError, match="cannot be reached") as refused:
        open_index("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(refused.value)
    with pytest.raises(InputError, match="no place for an index"):
        open_index("opensearch://host/index")
