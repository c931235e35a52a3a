"""What a run writes down: only registered metrics, with units, in JSON that every program reads."""

import json
import math
from pathlib import Path

import pytest

from kolossos.runs.events import METRICS, EventFile, finite_or_null, read_events, read_units, require_registered

STEP = {"loss": 2.5, "grad_norm": 0.5}


def written(path: Path, *events: tuple[int, str, dict], resume_step: int = 0) -> Path:
    file = EventFile(path, resume_step)
    for step, kind, values in events:
        file.write(step, kind, values)  # type: ignore[arg-type]
    file.close()
    return path


def strict(text: str) -> dict:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_events_come_back_with_the_units_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", (1, "train", STEP), (1, "validation", {"n_tokens": 3, "n_bytes": 9}))
    assert read_events(path, "train") == [{"step": 1, "kind": "train", **STEP}]
    assert read_events(path, "validation")[0]["n_bytes"] == 9
    assert read_units(path) == {name: metric.unit for name, metric in METRICS.items()}
    assert all(read_units(path)[name] for event in read_events(path) for name in event.keys() - {"step", "kind"})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("train", {"lossy": 1.0}, "no metric 'lossy'"),
        ("note", {"loss": 1.0}, "no kind of event 'note'"),
        ("validation", {"loss": 1.0}, "belongs to train and skipped"),
        ("train", {"loss": 1}, "must be of type float"),
        ("train", {"loss": "low"}, "must be of type float"),
        ("validation", {"n_tokens": 3.0}, "must be of type int"),
    ],
)
def test_what_is_not_registered_is_not_written(kind: str, values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        require_registered(kind, values)
    file = EventFile(tmp_path / "m.jsonl", 0)
    with pytest.raises(ValueError, match=message):
        file.write(1, kind, values)  # type: ignore[arg-type]
    file.close()
    assert read_events(tmp_path / "m.jsonl") == []


def test_a_metric_is_added_in_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from kolossos.runs.events import Metric

    monkeypatch.setitem(METRICS, "power_watts", Metric("W", ("train",)))
    path = written(tmp_path / "m.jsonl", (1, "train", {"power_watts": 250.0}))
    assert read_events(path)[0]["power_watts"] == 250.0
    assert read_units(path)["power_watts"] == "W"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_holds_no_bare_nan_and_reading_gives_it_back(value: float, tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", (7, "skipped", {"loss": value, "grad_norm": 1.0}))
    line = strict(path.read_text().splitlines()[1])
    assert line["loss"] is None
    assert line["not_finite"] == {"loss": str(value)}
    for _ in range(2):  # and again when an interrupted run goes on
        event = read_events(path)[0]
        assert math.isnan(event["loss"]) if math.isnan(value) else event["loss"] == value
        assert event["grad_norm"] == 1.0
        assert "not_finite" not in event
        written(path, resume_step=7)
    assert strict(json.dumps(finite_or_null({"loss": value, "step": 1}))) == {"loss": None, "step": 1}


def test_a_bare_nan_of_an_older_run_is_read_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 0, "kind": "units", "loss": "nats/token"}\n{"step": 1, "kind": "train", "loss": NaN}\n')
    assert math.isnan(read_events(path)[0]["loss"])
    written(path, resume_step=1)
    assert [strict(line) for line in path.read_text().splitlines()][1]["loss"] is None


def test_going_on_drops_the_steps_that_are_computed_again_and_a_torn_line(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", *[(step, "train", STEP) for step in (1, 2, 3)])
    path.write_text(path.read_text() + '{"step": 4, "kind"')
    assert [event["step"] for event in read_events(path)] == [1, 2, 3]
    written(path, (3, "train", STEP), resume_step=2)
    assert [event["step"] for event in read_events(path)] == [1, 2, 3]
