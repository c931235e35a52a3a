"""Text comes out whole, and stop texts never."""

from hypothesis import given
from hypothesis import strategies as st

from kolossos.data.tokenizer import Tokenizer
from kolossos.serve.answer_text import AnswerText

letters = st.text("ab", max_size=12)


@given(text=letters, stops=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_what_comes_out_is_the_text_before_the_first_stop_text(
    tokenizer: Tokenizer, text: str, stops: list[str]
) -> None:
    """A token a letter, so that every stop text is cut; expected: cut when the first one is complete."""
    answer = AnswerText(tokenizer, stops)
    pieces = []
    for letter in text:
        pieces.append(answer.push(tokenizer.encode(letter)[0]))
        if answer.stopped:
            break
    else:
        pieces.append(answer.finish())
    complete = [end for end in range(1, len(text) + 1) if text[:end].endswith(tuple(stops))] if stops else []
    if complete:
        seen = text[: complete[0]]
        expected = seen[: min(at for stop in stops if (at := seen.find(stop)) >= 0)]
    else:
        expected = text
    assert "".join(pieces) == expected
    assert answer.stopped == bool(complete)


def test_text_is_held_back_only_while_it_may_be_a_stop_text(tokenizer: Tokenizer) -> None:
    answer = AnswerText(tokenizer, ["\nUser:"])
    pieces = [answer.push(token) for letter in "ab\nUsb" for token in tokenizer.encode(letter)]
    assert pieces == ["a", "b", "", "", "", "\nUsb"]


def test_half_a_character_waits_for_the_other_half(tokenizer: Tokenizer) -> None:
    halves = tokenizer.encode("ß")
    assert len(halves) == 2
    answer = AnswerText(tokenizer, ())
    assert [answer.push(token) for token in halves] == ["", "ß"]
    assert answer.push(halves[0]) == ""
    assert answer.finish() == "\N{REPLACEMENT CHARACTER}"
