"""Which precision a run gets where it names none, with the timings of processors that are not here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from quiet import Listener

from kolossos.errors import InputError
from kolossos.runs.folder import RunFolder
from kolossos.specs.catalogue import load_model
from kolossos.specs.layout import Layout
from kolossos.specs.run import load_run
from kolossos.train import start
from kolossos.train.lifecycle.request import request_run
from kolossos.train.precision import PrecisionChoice, compute_dtype, faster, of_card, product_timer, products_of
from kolossos.train.start import start_run


def machine(fp32: float, bf16: float) -> Callable[[str], float]:
    """A timer as a processor with these seconds would have it; the first time of each is slow."""
    seen: set[str] = set()

    def seconds(name: str) -> float:
        first = name not in seen
        seen.add(name)
        return {"fp32": fp32, "bf16": bf16}[name] * (50 if first else 1)

    return seconds


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [
        (0.010, 0.0029, "bf16"),  # units for bf16 matrices
        (0.010, 0.0042, "bf16"),  # AVX-512 with bf16
        (0.010, 0.034, "fp32"),  # bf16 emulated in AVX-512
        (0.010, 0.300, "fp32"),  # bf16 emulated in AVX2
        (0.010, 0.0099, "fp32"),  # no difference worth the rounding
    ],
)
def test_bf16_is_chosen_only_where_it_is_clearly_faster(fp32: float, bf16: float, chosen: str) -> None:
    choice = faster(machine(fp32, bf16), 0.0)
    assert choice.precision == chosen
    assert choice.seconds == {"fp32": fp32, "bf16": bf16}
    assert f"{fp32 * 1e3:.1f} ms in fp32" in choice.reason


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_card_with_units_for_bf16_uses_them(capability: tuple[int, int], chosen: str) -> None:
    assert of_card(capability).precision == chosen


@pytest.mark.parametrize("name", ["grok-nano", "tiny-dense", "grok-1", "llama-3.1-405b"])
def test_no_products_are_timed_that_would_take_long(name: str) -> None:
    rows, shapes, experts = products_of(load_model(name), 1 << 20)
    flops = 6 * rows * sum(inner * outer for inner, outer in shapes)
    flops += 4 * rows * experts[1] * experts[2] * experts[3] if experts else 0
    assert rows >= 64
    assert flops < 1.2e10


def test_timing_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    assert product_timer(load_model("grok-nano"), 64, torch.device("cpu"))("bf16") > 0
    assert torch.get_num_threads() == before


def test_auto_is_the_default_and_what_was_chosen_stays_with_the_run(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Layout().precision == "auto"
    run_file.write_text(run_file.read_text().replace('precision = "fp32"\n', ""))
    measured = PrecisionChoice("bf16", "products as this model's take nothing", {"fp32": 2.0, "bf16": 1.0})
    monkeypatch.setattr(start, "choose_precision", lambda *_: measured)
    listener = Listener()
    path = tmp_path / "run"
    start_run(request_run(run_file, ["schedule.steps=4", "checkpoint.every=2"], folder=path), listener)
    assert "precision bf16: products as this model's take nothing" in listener.lines
    assert RunFolder.open(path).spec.layout.precision == "bf16"
    assert json.loads((path / "environment.json").read_text())["precision_choice"] == measured.record()

    monkeypatch.setattr(start, "choose_precision", lambda *_: pytest.fail("a run keeps its choice"))
    (newest,) = (path / "checkpoints").glob("*4")
    newest.rename(tmp_path / "gone")
    again = request_run(run_file, ["schedule.steps=4", "checkpoint.every=2"], folder=path)
    assert again.spec.layout.precision == "bf16"
    assert start_run(again, Listener()).finished
    assert json.loads((path / "environment.json").read_text())["precision_choice"] == measured.record()
    with pytest.raises(InputError, match=r"layout\.precision = 'bf16', the run file now says 'fp32'"):
        request_run(run_file, ["schedule.steps=4", "layout.precision=fp32"], folder=path)


def test_a_precision_asked_for_by_name_is_not_measured(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "choose_precision", lambda *_: pytest.fail("bf16 was asked for"))
    spec = ["schedule.steps=2", "layout.precision=bf16"]
    start_run(request_run(run_file, spec, folder=tmp_path / "run"), Listener())
    assert RunFolder.open(tmp_path / "run").spec.layout.precision == "bf16"
    assert json.loads((tmp_path / "run/environment.json").read_text())["precision_choice"] is None
    assert compute_dtype("bf16") is torch.bfloat16


def test_examples_leave_the_precision_to_the_machine() -> None:
    for path in (Path(__file__).parents[2] / "examples").glob("*.toml"):
        assert load_run(path).layout.precision == "auto", path
