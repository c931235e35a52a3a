"""What is changed, dropped and held out, and that nothing else is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.data.documents.clean import clean, reason_to_drop
from kolossos.data.documents.duplicates import Duplicates, fingerprint, normalised, sketch
from kolossos.data.tokens.split import held_out

WORDS = [f"word{i}" for i in range(2000)]


def test_clean_changes_only_line_ends_marks_and_control_characters() -> None:
    assert clean("\ufeffa\r\nb\rc\td\x00\x07\x85 e\ud800 \u0301 ﬁ\n\n  ") == "a\nb\nc\td e \u0301 ﬁ"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_clean_text_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    once.encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "too_short"),
        ("nine char", "too_short"),
        ("A sentence that is long enough.", None),
        ("これは十分に長い日本語の文です", None),
        ("3.1415 2.7182 1.4142 1.7320", "few_letters"),
        ("Subscribe to the newsletter!\n" * 20, "repeated_lines"),
        ("\n".join(f"    value_{i} = compute({i})\n    }}" for i in range(20)), None),
    ],
)
def test_documents_are_dropped_for_named_reasons(text: str, reason: str | None) -> None:
    assert reason_to_drop(text, min_chars=10) == reason


def _judgements(texts: list[str], threshold: float | None) -> list[str | None]:
    duplicates, contents = Duplicates(threshold), [normalised(text) for text in texts]
    return [duplicates.judge(fingerprint(c), sketch(c) if threshold else None) for c in contents]


def test_the_first_of_equal_and_similar_documents_wins() -> None:
    words = random.Random(0).choices(WORDS, k=500)
    changed = [*words[:250], "other", *words[250:]]
    unlike = [*words[:250], *random.Random(1).choices(WORDS, k=250)]
    texts = [" ".join(words), "\n".join(words), " ".join(changed), " ".join(unlike), "short", "short", "shorter"]
    assert _judgements(texts, 0.8) == [None, "exact", "near", None, None, "exact", None]
    assert _judgements(texts, None) == [None, "exact", None, None, None, "exact", None]


@given(st.sets(st.binary(min_size=16, max_size=16), max_size=30), st.floats(0, 0.999), st.integers(0, 100))
def test_each_document_is_held_out_for_itself(fingerprints: set[bytes], fraction: float, seed: int) -> None:
    ordered = sorted(fingerprints)
    chosen = dict(zip(ordered, held_out(ordered, fraction, seed).tolist(), strict=True))
    assert chosen == dict(zip(ordered[::-1], held_out(ordered[::-1], fraction, seed).tolist(), strict=True))
    if len(ordered) >= 2:
        assert any(chosen.values()) == (fraction > 0)
        assert not all(chosen.values())
    else:
        assert not any(chosen.values())


def test_about_the_asked_share_is_held_out() -> None:
    fingerprints = [fingerprint(str(i).encode()) for i in range(20_000)]
    assert held_out(fingerprints, 0.05, seed=0).mean() == pytest.approx(0.05, abs=0.005)
