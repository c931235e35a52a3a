"""Every quotation is verbatim in its source, whatever the sources hold."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.ground.answer.ask import Asker
from kolossos.ground.answer.sentences import LONGEST, sentences
from kolossos.ground.check.claims import Checker
from kolossos.ground.memory import Memory, whole
from kolossos.ground.source import Passage, Query, Source

NASTY = "\u202eevil\u202c \u200d\u0301 \ud800 \x00\x1b[31m ﷽ 👩‍👩‍👧‍👦 ｡。！ ß İ ǅ \u2028 \u00a0 \ufeff e\u0301 1½ Ⅻ ﬁ"
WORDS = [
    "tower",
    "built",
    "1911",
    "Ada",
    "Brandt",
    "opened",
    "in",
    "the",
    "river",
    "bridge",
    "not",
    "42",
    "metres",
    "because",
]
MARKS = [".", "!", "?", ";", "\n", "。", "…", ".)", ""]
pieces = st.sampled_from([*WORDS, *NASTY.split(" "), *MARKS])
texts = st.lists(st.one_of(pieces, pieces, st.text(max_size=6)), max_size=60).map(" ".join)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_sentences_are_slices_in_order_that_miss_no_letter(text: str) -> None:
    places = sentences(text)
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert all(end - start <= LONGEST and text[start:end].strip() == text[start:end] for start, end in places)
    outside = set(range(len(text))) - {at for start, end in places for at in range(start, end)}
    assert not any(text[at].isalnum() for at in outside)


@given(st.lists(texts, min_size=1, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_every_quotation_is_verbatim_in_its_source(given_texts: list[str], data) -> None:
    passages = []
    for number, text in enumerate(given_texts):
        source = Source(str(number), "post", text, author=text[:5], date=datetime(2026, 1, 1, tzinfo=UTC))
        cut = data.draw(st.integers(0, len(text)))  # passages may begin inside of a sentence
        passages += [Passage(source, 0, cut), Passage(source, cut, len(text))]
    searcher = Memory(passages)
    answer = Asker(searcher, least=0.0).ask(Query("When was the tower built by Ada Brandt?"))
    quoted = [*answer.quotations, *answer.nearest, *(c.quotation for c in answer.conflicts)]
    claims = Checker(searcher).check("The tower was built in 1911. The bridge did not open.")
    quoted += [q for claim in claims for q in claim.quotations]
    for quotation in quoted:
        assert quotation.source.text == given_texts[int(quotation.source.key)]
        assert quotation.text == quotation.source.text[quotation.start : quotation.end]
        assert quotation.text in given_texts[int(quotation.source.key)]
        assert quotation.text.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. J. K. Brandt came. He left.", ["Dr. J. K. Brandt came.", "He left."]),
        ("It cost 4.5 m, e.g. for stone.[12] Then rain!", ["It cost 4.5 m, e.g. for stone.[12]", "Then rain!"]),
        ('He said "no." "Why?" she asked.', ['He said "no."', '"Why?" she asked.']),
        ("一つ。二つ！三つ", ["一つ。", "二つ！", "三つ"]),
        ("Fares rise\nThe council says so", ["Fares rise", "The council says so"]),
        ("a line that was\nbroken by hand", ["a line that was\nbroken by hand"]),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_a_text_without_ends_is_cut_in_time_that_grows_with_it() -> None:
    text = "word. x " * 20_000 + "a" * 100_000 + "." * 100_000 + "!\n" * 50_000
    assert all(end - start <= LONGEST for start, end in sentences(text))
    assert whole(Source("1", "post", text)).text == text
