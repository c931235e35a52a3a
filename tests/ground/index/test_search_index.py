"""An index finds what a plain scan of the same sources finds, however it came about, and quotes it to the letter."""

import json
import random
import re
import shutil
import unicodedata
from datetime import UTC, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sources import LANGUAGES, START, WORDS, made_sources

from kolossos.errors import InputError
from kolossos.ground.index import open_index
from kolossos.ground.index.manifest import DENSE, MANIFEST
from kolossos.ground.index.records import key_number, pack, unpack
from kolossos.ground.index.vectors import MOST_FILES, read_segments
from kolossos.ground.index.write import FolderStore
from kolossos.ground.passages import passages
from kolossos.ground.query import parse_query
from kolossos.ground.results import find
from kolossos.ground.snippet import snippet
from kolossos.ground.source import Hit, Note, Passage, Query, Source

SOURCES = made_sources(400, seed=1)


def plain_words(text: str) -> list[str]:
    """The words of a text by other means than the index's."""
    folded = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return re.findall(r"[a-z0-9]+", folded)


def holds(words: list[str], phrase: str) -> bool:
    wanted = plain_words(phrase)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def passes(source: Source, query: Query) -> bool:
    """A filter by filter reading of what a query says, but for words, which a passage holds."""
    date = source.date
    return (
        (not query.author or source.author.lower() == query.author.lower())
        and (not query.language or source.language == query.language)
        and (not query.kind or source.kind == query.kind)
        and (query.has_note is None or query.has_note == bool(source.notes and source.kind != "note"))
        and (query.since is None or (date is not None and date >= query.since))
        and (query.until is None or (date is not None and date < query.until))
    )


def index_of(folder: Path, sources: list[Source], model: Path | None = None) -> Path:
    with FolderStore(folder, model).writing() as writer:
        writer.write(sources, "made")
        writer.finish()
    return folder


@pytest.fixture(scope="module", params=["words", "vectors"])
def searcher(request, tmp_path_factory, model_folder):
    model = model_folder if request.param == "vectors" else None
    return open_index(index_of(tmp_path_factory.mktemp("ground") / "index", SOURCES, model))


@st.composite
def queries(draw) -> Query:
    day = st.integers(0, 370).map(lambda days: START + timedelta(days=days))
    since = draw(st.none() | day)
    return Query(
        text=draw(st.sampled_from(("", "", *WORDS))),
        phrases=tuple(draw(st.lists(st.tuples(*[st.sampled_from(WORDS)] * 2).map(" ".join), max_size=1))),
        excluded=tuple(draw(st.lists(st.sampled_from(WORDS), max_size=2))),
        author=draw(st.sampled_from(("", "", "ANN", "bob", "čapek"))),
        since=since,
        until=draw(st.none() | day.filter(lambda date: since is None or date > since)),
        language=draw(st.sampled_from(("", "", *LANGUAGES))),
        kind=draw(st.sampled_from(("", "", "post", "note", "document"))),
        has_note=draw(st.sampled_from((None, None, True, False))),
    )


@settings(max_examples=100)
@given(query=queries())
def test_filters_let_through_exactly_what_a_scan_lets_through(searcher, query: Query) -> None:
    hits = searcher.search(Query(**{**fields(query), "text": ""}), 10_000)
    found = {(hit.passage.source.key, hit.passage.start) for hit in hits}
    seen = {hit.passage.source.key for hit in hits}
    for source in SOURCES:
        if not passes(source, query):
            assert source.key not in seen
        elif source.kind != "document":  # one passage: phrases and exclusions are about all of it
            text = plain_words(source.text)
            wanted = all(holds(text, p) for p in query.phrases) and not any(holds(text, e) for e in query.excluded)
            assert ((source.key, 0) in found) == wanted
    assert {hit.passage.source for hit in searcher.search(query, 10_000)} <= {hit.passage.source for hit in hits}


@settings(max_examples=50)
@given(query=queries())
def test_snippets_and_marks_are_verbatim_and_scores_fall(searcher, query: Query) -> None:
    hits = searcher.search(query, 20)
    assert all(before.score >= after.score for before, after in pairwise(hits))
    for hit in hits:
        source = hit.passage.source
        assert hit.passage.text == source.text[hit.passage.start : hit.passage.end]
        shown = snippet(hit.passage, query, width=60)
        assert shown.text == source.text[shown.start : shown.end]
        assert hit.passage.start <= shown.start <= shown.end <= hit.passage.end
        assert "".join(part for part, _ in shown.parts()) == shown.text
        wanted = {w.rstrip("s")[:3] for w in plain_words(" ".join((query.text, *query.phrases)))}
        for start, end in shown.marks:
            assert {word[:3] for word in plain_words(source.text[start:end])} <= wanted


def test_a_document_is_cut_so_that_every_word_is_in_one_passage(searcher) -> None:
    for source in SOURCES:
        if source.kind == "document":
            found = searcher.search(Query("", author=source.author, kind="document"), 10_000)
            mine = sorted((h.passage for h in found if h.passage.source.key == source.key), key=lambda p: p.start)
            if mine:
                assert "".join(p.text for p in mine).split() != []
                assert re.sub(r"\s", "", "".join(p.text for p in mine)) == re.sub(r"\s", "", source.text)


@pytest.mark.parametrize("seed", range(2))
def test_an_index_brought_up_to_date_answers_as_one_made_from_scratch(tmp_path, model_folder, seed: int) -> None:
    random_ = random.Random(seed)
    first = made_sources(150, seed=10 + seed)
    changed = [
        Source(**{**fields(s), "text": f"{s.text} lighthouse"}) if random_.random() < 0.3 else s for s in first[:120]
    ]
    added = [Source(**{**fields(s), "key": "new" + s.key}) for s in made_sources(60, seed=50 + seed)]
    last = [s for s in (*changed, *added) if s.key != "key7" and s.author != "bob"]
    with FolderStore(tmp_path / "grown", model_folder).writing() as writer:
        writer.write(first[:70], "a")
        writer.write(first[70:], "a")
        random_.shuffle(changed)
        counts = writer.write(changed, "a")
        assert counts.unchanged + counts.changed == 120
        writer.write(added, "a")
        left = [key_number(s.key) for s in (*changed, *added)]
        assert writer.keep_only("a", [np.array(left, np.uint64)]) == 30
        assert writer.delete(keys=["key7", "never there"]) == 1
        assert writer.delete(author="@BOB") == sum(s.author == "bob" and s.key != "key7" for s in (*changed, *added))
        writer.finish()
    grown = open_index(tmp_path / "grown")
    fresh = open_index(index_of(tmp_path / "fresh", last, model_folder))
    for text in (
        "whale storm",
        "lighthouse",
        '"ship sail"',
        "from:ann wind -rope",
        "anchor kind:note",
        "kind:document",
    ):
        one, other = (s.search(parse_query(text), 30) for s in (grown, fresh))
        assert [told(hit) for hit in one] == [told(hit) for hit in other]
    assert {h.passage.source for h in grown.search(Query("", kind="post"), 1000)} == {
        s for s in last if s.kind == "post"
    }


def test_a_reader_sees_what_is_added_while_it_is_open(tmp_path) -> None:
    folder = index_of(tmp_path / "index", SOURCES[:5])
    reader = open_index(folder)
    assert not reader.search(Query("zeppelin"))
    with FolderStore(folder).writing() as writer:
        with pytest.raises(InputError, match="is being written by another process"), FolderStore(folder).writing():
            pass
        writer.write([Source("z", "post", "A zeppelin over the harbour")], "more")
        assert [hit.passage.source.key for hit in reader.search(Query("zeppelins"))] == ["z"]
        writer.write([Source("z", "post", "A balloon over the harbour")], "more")
        writer.finish()
    assert not reader.search(Query("zeppelin"))
    assert reader.search(Query("balloon"))


def test_near_duplicates_and_passages_of_one_source_are_folded_and_unfolded(tmp_path) -> None:
    text = "The storm took the old lighthouse on the northern island last night"
    sources = [
        Source("a", "post", text, author="x"),
        Source("b", "post", f"@ann {text}! https://t.co/1", author="y"),
        Source("c", "post", "A lighthouse is not a storm"),
        Source("d", "document", "\n\n".join(f"Lighthouse storm {n} " + f"w{n} " * 200 for n in range(4))),
    ]
    reader = open_index(index_of(tmp_path / "index", sources))
    results = find(reader, parse_query("lighthouse storm"))
    groups = {r.hit.passage.source.key: [h.passage.source.key for h in r.folded] for r in results}
    assert set(groups) in ({"a", "c", "d"}, {"b", "c", "d"})
    assert sorted(key for group in groups.values() for key in group) in (["b", "d", "d", "d"], ["a", "d", "d", "d"])
    unfolded = find(reader, parse_query("lighthouse storm"), fold=False)
    assert len(unfolded) == 7
    assert not any(r.folded for r in unfolded)


def test_recency_moves_the_new_before_the_old_and_halves_by_its_days() -> None:
    class Two:
        def search(self, query: Query, count: int = 10) -> list[Hit]:
            now = START + timedelta(days=100)
            ages = {"old": 90.0, "new": 0.0, "week": 7.0}
            scores = {"old": 1.0, "new": 0.6, "week": 0.6}
            made = [Source(key, "post", f"ship {key}", date=now - timedelta(days=age)) for key, age in ages.items()]
            return [Hit(Passage(s, 0, len(s.text)), scores[s.key]) for s in made]

    results = find(Two(), Query("ship"), recency_days=7, now=START + timedelta(days=100))
    scores = {r.hit.passage.source.key: r.hit.score for r in results}
    assert [r.hit.passage.source.key for r in results] == ["new", "old", "week"]
    assert scores["new"] == pytest.approx(0.6)
    assert scores["week"] == pytest.approx(0.6 * 0.75)
    with pytest.raises(InputError, match="more than 0"):
        find(Two(), Query("ship"), recency_days=0)


def test_words_of_many_scripts_are_found_and_marked(tmp_path) -> None:
    sources = [
        Source("ja", "post", "昨日、東京タワーに行きました", language="ja"),
        Source("ja2", "post", "京都の東の塔", language="ja"),
        Source("fr", "post", "Les baleines ont été vues à Étretat", language="fr"),
        Source("ru", "post", "Киты плывут на север", language="ru"),
    ]
    reader = open_index(index_of(tmp_path / "index", sources))
    for text, key, mark in (
        ('"東京"', "ja", "東京"),
        ("baleine etretat", "fr", "baleines"),
        ("кит", "ru", "Киты"),
    ):
        best = find(reader, parse_query(text))[0]
        assert best.hit.passage.source.key == key
        assert mark in [part for part, marked in best.snippet.parts() if marked]


def test_a_model_or_an_index_that_is_not_the_same_is_refused_in_one_line(tmp_path, model_folder) -> None:
    folder = index_of(tmp_path / "index", SOURCES[:20], model_folder)
    other = shutil.copytree(model_folder, tmp_path / "other")
    (other / "sentence_bert_config.json").write_text('{"max_seq_length": 40}')
    with pytest.raises(InputError, match="is another model"):
        FolderStore(folder, other)
    manifest = (folder / MANIFEST).read_text()
    for broken, message in (
        (manifest.replace('"version": 1', '"version": 2'), "is an index of version 2"),
        (manifest.replace('"kolossos-index"', '"x"'), "another program"),
        (manifest[:-9], "is broken"),
    ):
        (folder / MANIFEST).write_text(broken)
        with pytest.raises(InputError, match=message):
            open_index(folder)
    (folder / MANIFEST).write_text(manifest)
    next((folder / "dense").glob("vectors-*")).write_bytes(b"no vectors")
    with pytest.raises(InputError, match="is broken"):
        open_index(folder)
    (folder / "lexical-1" / "meta.json").write_text("{}")
    with pytest.raises(InputError, match="is broken"):
        open_index(folder)


def fields(thing) -> dict:
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}


def told(hit: Hit) -> tuple:
    why = {name: round(value, 3) if isinstance(value, float) else value for name, value in hit.why.items()}
    return hit.passage, round(hit.score, 3), tuple(sorted((n, v) for n, v in why.items() if "rank" not in n))


def test_dates_are_exact_to_the_microsecond(tmp_path) -> None:
    moment = START + timedelta(microseconds=1)
    reader = open_index(index_of(tmp_path / "index", [Source("a", "post", "x", date=moment)]))
    assert reader.search(Query("", since=moment, until=moment + timedelta(microseconds=1)))
    assert not reader.search(Query("", until=moment))
    assert reader.search(Query("x"))[0].passage.source.date == moment


def test_files_of_vectors_are_joined_and_forget_what_was_deleted(tmp_path, model_folder) -> None:
    with FolderStore(tmp_path / "index", model_folder).writing() as writer:
        for start in range(0, 50):
            writer.write(SOURCES[4 * start : 4 * start + 4], "made")
        writer.delete(keys=[source.key for source in SOURCES[:50]])
        writer.finish()
    segments = read_segments(tmp_path / "index" / DENSE)
    passages_left = sum(len(passages(source)) for source in SOURCES[50:200])
    assert len(segments) <= MOST_FILES
    assert passages_left <= sum(segment.count for segment in segments) <= passages_left / 0.9
    assert {path.name for path in (tmp_path / "index" / DENSE).glob("vectors-*")} == {s.name for s in segments}
    grown, fresh = open_index(tmp_path / "index"), open_index(index_of(tmp_path / "f", SOURCES[50:200], model_folder))
    assert [told(hit) for hit in grown.search(Query("whale"), 50)] == [
        told(hit) for hit in fresh.search(Query("whale"), 50)
    ]


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
MOMENT = st.none() | st.datetimes(timezones=st.just(UTC))


@given(
    st.builds(
        Source,
        key=TEXT,
        kind=st.sampled_from(("post", "note", "document")),
        text=TEXT,
        title=TEXT,
        author=TEXT,
        date=MOMENT,
        address=TEXT,
        language=TEXT,
        notes=st.lists(st.builds(Note, TEXT, TEXT, TEXT, MOMENT), max_size=2).map(tuple),
    )
)
def test_a_source_is_packed_and_unpacked_as_it_was(source: Source) -> None:
    assert unpack(pack(source)) == source
    assert json.loads(pack(source))["text"] == source.text
