"""Figures against other ways to compute them, sets as they are read, and a report that is whole."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.ground.measure import figures
from kolossos.ground.measure.run import Measurement, measure
from kolossos.ground.measure.sets import holds, is_tuning, read_set

scores = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=20).map(np.array)


@given(scores, scores)
def test_the_area_is_the_chance_that_a_pair_is_in_order(there: np.ndarray, away: np.ndarray) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in there for b in away]
    assert figures.auroc(there, away) == pytest.approx(np.mean(pairs))


@given(scores, scores)
def test_the_curve_is_the_share_answered_at_each_least_support(there: np.ndarray, away: np.ndarray) -> None:
    least, answered, wrongly = figures.coverage_curve(there, away)
    for at, value in enumerate(least):
        assert answered[at] == pytest.approx(np.mean(there >= value))
        assert wrongly[at] == pytest.approx(np.mean(away >= value))


def test_golden_figures() -> None:
    assert figures.ndcg([1, 2, 0, 11]) == pytest.approx((1 + 1 / np.log2(3)) / 4)
    assert figures.recall([1, 2, 0, 11], 1) == 0.25
    stated, true = np.array([0.95, 0.95, 0.15, 0.15]), np.array([1.0, 0.0, 0.0, 0.0])
    assert figures.calibration_error(stated, true) == pytest.approx((0.45 + 0.15) / 2)
    score, each = figures.macro_f1(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
    assert (score, each) == (pytest.approx(2 / 3), {"a": pytest.approx(2 / 3), "b": pytest.approx(2 / 3)})


@pytest.mark.parametrize(
    ("text", "gold", "held"),
    [
        ("It had 308 points.", "308", True),
        ("It had 3080 points.", "308", False),
        ("The “Tower”, of London", "tower of London", True),
        ("nothing", "the", False),
        ("Größe zählt", "größe", True),
    ],
)
def test_a_text_holds_gold_as_whole_words(text: str, gold: str, held: bool) -> None:
    assert holds(text, (gold,)) == held


def squad(articles: int = 6) -> dict:
    def article(n: int) -> dict:
        year, keeper = str(1800 + n), f"Keeper{n}"
        context = f"The tower of Town{n} was built in {year}. The keeper of the tower of Town{n} is Mr. {keeper}."
        questions = {
            f"When was the tower of Town{n} built?": year,
            f"Who is the keeper of the tower of Town{n}?": keeper,
        }
        asked = [
            {
                "id": f"{n} {gold}",
                "question": question,
                "answers": [{"text": gold, "answer_start": context.index(gold)}],
            }
            for question, gold in questions.items()
        ]
        return {"title": f"Town_{n}", "paragraphs": [{"context": context, "qas": asked}]}

    return {"data": [article(n) for n in range(articles)]}


def test_a_measurement_writes_one_report_with_plots_and_every_question(tmp_path) -> None:
    file, out = tmp_path / "set.json", tmp_path / "report"
    file.write_text(json.dumps(squad()))
    told: list[tuple[int, int]] = []
    found = measure(Measurement(file, None, None, 0.0, None), out, lambda done, all_: told.append((done, all_)))
    all_ = found["figures"]["all"]
    assert told[-1] == (12, 12)
    assert all_["questions"] == 12
    assert all_["recall_10"] == 1
    assert all_["answer_right"] >= 0.9
    assert all_["verbatim"] == 1
    assert all_["answered"] == all_["answered_without"] == 1  # nothing is held back at a least support of 0
    report = json.loads((out / "report.json").read_text())
    assert len(report["rows"]) == 12
    assert "| best sentence holds the gold text, none held back |" in (out / "report.md").read_text()
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "http://" not in page
    assert "https://" not in page
    assert (out / "abstention.png").read_bytes()[:4] == b"\x89PNG"


def test_lines_of_json_and_impossible_questions_are_read(tmp_path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text(
        '{"question": "Who?", "answers": ["Ada"], "source": "1", "group": "g"}\n\n{"question": "Why?", "answers": []}\n'
    )
    first, second = read_set(file).questions
    assert (first.gold, first.source, first.group, second.gold) == (("Ada",), "1", "g", ())
    impossible = squad(1)
    impossible["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = True
    file.write_text(json.dumps(impossible))
    assert [bool(q.gold) for q in read_set(file).questions] == [False, True]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no question"),
        (b"{}", 'line 1: {"question"'),
        (b'{"question": "x"}', "line 1"),
        (b'{"question": 3, "answers": []}', "line 1"),
        (b"hello", "line 1"),
        (b"\xff", "not UTF-8"),
        (b'{"data": [{"paragraphs": [{}]}]}', "not in SQuAD's layout"),
    ],
)
def test_a_set_that_is_none_is_one_clear_line(tmp_path, content: bytes, said: str) -> None:
    file = tmp_path / "set"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        read_set(file)
    assert len(str(error.value).splitlines()) == 1


def test_a_report_needs_a_folder_and_sources(tmp_path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text('{"question": "Who?", "answers": ["Ada"]}\n')
    with pytest.raises(InputError, match="carries no texts"):
        measure(Measurement(file, None, None, None, None), tmp_path / "out")
    with pytest.raises(InputError, match="is a file"):
        measure(Measurement(file, None, None, None, None), file)
    assert not (tmp_path / "out").exists()


def test_halves_are_a_function_of_the_title_alone() -> None:
    assert {is_tuning(str(n)) for n in range(20)} == {True, False}
    assert not is_tuning("Super_Bowl_50")  # the halves of the figures in the documentation
