"""The report: its numbers against closed forms, its lines exact at the line, its three forms in agreement."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kolossos.cli.main import main
from kolossos.report.compute import count_compute
from kolossos.report.document import make_report
from kolossos.report.laws import Law, Standing, load_laws, stand
from kolossos.report.read import read_subject
from kolossos.specs.catalogue import load_model
from kolossos.specs.counts import attention_flops_per_token, count_parameters

PLAN: dict[str, Any] = {
    "model": "grok-1",
    "cluster": "colossus-100k",
    "tokens": 13e12,
    "model_flops": 6.8e24,
    "energy_joules": 5e13,
    "cost_usd": 2.6e7,
    "days": 5.0,
    "n_gpus": 98304,
    "layout": {"tp": 8, "dp_shard": 12288, "global_batch_size": 12288, "micro_batch_size": 1, "seq_len": 8192},
}
RUN = """
name = "small"
[model]
name = "tiny"
n_layers = 2
dim = 16
n_heads = 2
n_kv_heads = 1
head_dim = 8
vocab_size = 64
max_seq_len = 32
ffn_dim = 32
[data]
path = "nowhere"
[layout]
seq_len = 8
micro_batch_size = 2
global_batch_size = 2
[schedule]
steps = 4
"""


def plan_file(folder: Path, **changes: Any) -> Path:
    values = {key: value for key, value in {**PLAN, **changes}.items() if value is not ...}
    path = folder / "plan.json"
    path.write_text(json.dumps(values))
    return path


def run_folder(folder: Path, steps: int = 4, **more: float) -> Path:
    path = folder / "run"
    path.mkdir()
    (path / "run.toml").write_text(RUN)
    events: list[dict[str, Any]] = [{"step": 0, "kind": "units"}]
    events += [{"step": s, "kind": "train", "tokens": 16.0 * s, "step_s": 0.5, **more} for s in range(1, steps + 1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (path / "environment.json").write_text(json.dumps({"device": "a processor", "threads": 3, "torch": "2.13"}))
    return path


def standing(path: Path, key: str, revenue: float | None = None) -> Standing:
    subject = read_subject(path)
    law = next(law for law in load_laws().laws if law.key == key)
    return stand(law, count_compute(subject), revenue, subject.cost.value)


@pytest.fixture
def kolossos(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kolossos", "report", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


def test_counted_compute_is_six_times_the_matmul_weights_plus_attention(tmp_path: Path) -> None:
    compute = count_compute(read_subject(plan_file(tmp_path)))
    grok = load_model("grok-1")
    assert compute.products == pytest.approx(6 * count_parameters(grok).matmul_active * 13e12)
    # causal attention, by hand: 64 layers x 48 heads x (128 + 128) x 4096.5 positions x 2 FLOPs, forward and twice back
    assert compute.attention == pytest.approx(3 * 64 * 2 * 48 * 256 * 4096.5 * 13e12)
    assert compute.counted == pytest.approx(compute.products + compute.attention)
    assert compute.counted == pytest.approx(compute.rule_6nd, rel=0.05)


def test_llama_3_405b_comes_out_at_its_published_compute(tmp_path: Path) -> None:
    layout = {"seq_len": 8192, "micro_batch_size": 1, "global_batch_size": 1}
    path = plan_file(tmp_path, model="llama-3.1-405b", tokens=15.6e12, layout=layout)
    assert count_compute(read_subject(path)).counted == pytest.approx(3.8e25, rel=0.04)  # arXiv:2407.21783, 3.2.1
    assert standing(path, "eu-systemic").position == "above"
    assert standing(path, "ca-sb53").position == "near"


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_recompute_repeats_a_forward_pass_or_the_attention_core(tmp_path: Path, recompute: str) -> None:
    compute = count_compute(read_subject(plan_file(tmp_path, layout={**PLAN["layout"], "recompute": recompute})))
    forward = {
        "none": 0.0,
        "selective": attention_flops_per_token(load_model("grok-1"), 8192) * 13e12,
        "full": compute.counted / 3,
    }
    assert compute.executed - compute.counted == pytest.approx(forward[recompute], abs=1e-9 * compute.counted)


def test_position_is_exact_at_the_line(tmp_path: Path) -> None:
    compute = count_compute(read_subject(plan_file(tmp_path)))
    law = load_laws().laws[0]

    def at(threshold: float, **more: Any) -> str:
        moved = law.model_copy(update={"flops_threshold": threshold, **more})
        return stand(moved, compute, None, None).position

    assert at(compute.counted) == "near"  # the law says more than
    assert at(compute.counted, at_least=True) == "above"
    assert at(compute.counted * (1 - 1e-12)) == "above"
    assert at(compute.counted * 2.99) == "near"
    assert at(compute.counted * 3.01) == "below"
    line = compute.counted * 2
    left = stand(law.model_copy(update={"flops_threshold": line}), compute, None, None).tokens_to_line
    assert left == pytest.approx(13e12)


def test_run_that_crosses_only_by_recompute_or_only_at_its_end_says_so(tmp_path: Path) -> None:
    full = count_compute(read_subject(plan_file(tmp_path, layout={**PLAN["layout"], "recompute": "full"})))
    law = load_laws().laws[0].model_copy(update={"flops_threshold": full.counted * 1.2})
    assert stand(law, full, None, None).position == "above if recompute is counted"
    half = count_compute(read_subject(run_folder(tmp_path, steps=2)))
    law = law.model_copy(update={"flops_threshold": half.counted * 1.5})
    assert stand(law, half, None, None).position == "will be above as intended"
    assert stand(law, half, None, None).owed == law.duties


def test_revenue_decides_what_large_developers_owe(tmp_path: Path) -> None:
    path = plan_file(tmp_path, tokens=300e12)
    unknown, small, large = (standing(path, "ca-sb53", revenue) for revenue in (None, 5e8, 5.01e8))
    assert (unknown.large, small.large, large.large) == (None, False, True)
    assert len(unknown.owed) == len(small.owed) == 2
    assert len(large.owed) == 4
    assert len(unknown.owed_if_large) == 2
    assert not small.owed_if_large


def test_vetoed_and_revoked_laws_ask_for_nothing(tmp_path: Path) -> None:
    path = plan_file(tmp_path, tokens=300e12, cost_usd=2e8)
    for key in ("ca-sb1047", "us-eo14110"):
        assert standing(path, key, 1e12).position == "above"
        assert not standing(path, key, 1e12).owed
    assert standing(path, "ca-sb1047").above_cost is True


def test_table_of_laws_holds_the_published_lines() -> None:
    laws: dict[str, Law] = {law.key: law for law in load_laws().laws}
    lines = {key: law.flops_threshold for key, law in laws.items()}
    assert lines["eu-gpai"] == 1e23
    assert lines["eu-systemic"] == 1e25
    assert {lines[key] for key in ("ca-sb53", "ny-raise", "ca-sb1047", "us-eo14110")} == {1e26}
    assert laws["ca-sb53"].revenue_threshold_usd == 500e6
    assert laws["ca-sb1047"].cost_threshold_usd == 100e6
    assert (laws["ca-sb1047"].status, laws["ny-raise"].status) == ("vetoed", "not yet in force")
    assert all(law.source and law.penalty and law.counts for law in laws.values())


def test_run_folder_counts_the_tokens_seen_and_marks_energy_as_an_estimate(tmp_path: Path) -> None:
    subject = read_subject(run_folder(tmp_path, steps=3))
    assert (subject.tokens, subject.tokens_intended) == (48.0, 64.0)
    assert subject.state == "unfinished: step 3 of 4"
    assert subject.seconds.value == 1.5
    assert subject.energy.how == "estimated"
    assert subject.energy.value == pytest.approx(9.0 * 3 * 1.5)
    assert subject.energy.low is not None
    assert subject.energy.low < subject.energy.value


@pytest.mark.parametrize(("more", "joules"), [({"energy_joules": 7.0}, 28.0), ({"power_watts": 20.0}, 40.0)])
def test_measured_energy_is_taken_as_measured(tmp_path: Path, more: dict[str, float], joules: float) -> None:
    energy = read_subject(run_folder(tmp_path, **more)).energy
    assert (energy.how, energy.value) == ("measured", joules)


def test_gpu_run_is_estimated_from_rated_power_and_rent(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (folder / "environment.json").write_text(json.dumps({"device": "NVIDIA H100 80GB HBM3"}))
    subject = read_subject(folder)
    assert subject.energy.value == pytest.approx((0.85 * 700 + 200) * 1.3 * 2.0)
    assert subject.cost.value == pytest.approx(2.35 * 2.0 / 3600)


def test_quantiles_of_a_simulation_become_bounds(tmp_path: Path) -> None:
    path = plan_file(tmp_path, days={"p05": 4.0, "p50": 5.0, "p95": 7.0}, goodput=0.9, cost_usd=None)
    subject = read_subject(path)
    assert subject.kind == "simulation"
    assert (subject.seconds.low, subject.seconds.value, subject.seconds.high) == (345600.0, 432000.0, 604800.0)
    assert subject.cost.how == "not known"
    assert "not known" in make_report(path).markdown


def simulation(**changes: Any) -> dict[str, Any]:
    band = {"mean": 2.0, "p05": 1.0, "p50": 2.0, "p95": 3.0}
    return {
        "inputs": {
            "model": "grok-1",
            "cluster": "colossus-100k",
            "fleet": {
                "gpus": 100000,
                "gpu": "h100",
                "growth": [
                    {"gpus": 30000, "gpu": "h200", "day": 2.0, "join_day": 3.0},
                    {"gpus": 20000, "gpu": "h100", "day": 2.0, "join_day": None},
                ],
            },
        },
        "goodput": band,
        "days": 30.0,
        "tokens": {name: value * 1e12 for name, value in band.items()},
        "energy_mwh": band,
        "cost_usd": band,
        **changes,
    }


def test_output_of_simulate_is_read_as_it_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "simulation.json"
    path.write_text(json.dumps(simulation()))
    subject = read_subject(path)
    assert (subject.kind, subject.n_gpus, subject.tokens) == ("simulation", 150000, 2e12)
    assert (subject.energy.low, subject.energy.value, subject.energy.high) == (3.6e9, 7.2e9, 10.8e9)
    assert "does not state the layout" in make_report(path).markdown


def test_gpus_that_join_later_stand_in_the_report_with_their_day(tmp_path: Path) -> None:
    path = tmp_path / "simulation.json"
    path.write_text(json.dumps(simulation()))
    hardware = make_report(path).record["hardware"]
    assert hardware["GPUs used"] == "150,000"
    assert hardware["pool of h100"] == "100,000"
    assert hardware["h100 from day 2"] == "20,000"
    assert hardware["h200 from day 3"] == "30,000"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {**simulation()["inputs"], "model": None}}, "key 'inputs.model' = None: expected a name"),
        ({"inputs": {}}, "not the JSON that `kolossos simulate` prints: 'model'"),
        ({"energy_mwh": None}, "key 'energy_mwh' = None: expected a number"),
    ],
)
def test_unusable_simulation_is_one_clear_line(kolossos, tmp_path: Path, changes: dict, message: str) -> None:
    path = tmp_path / "simulation.json"
    path.write_text(json.dumps(simulation(**changes)))
    code, out, err = kolossos(str(path))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "line", "path", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "line", "path", "rect"):
            assert self.open.pop() == tag


def test_three_forms_say_the_same_and_html_stands_alone(kolossos, tmp_path: Path) -> None:
    path = plan_file(tmp_path, cluster="<b>mine</b> | *x*")
    code, out, _ = kolossos(str(path), "--out", str(tmp_path / "out"), "--json", "--developer-revenue-usd", "1e9")
    assert code == 0
    record = json.loads(out)
    written = {name: (tmp_path / "out" / f"report.{name}").read_text() for name in ("md", "html", "json")}
    assert json.loads(written["json"]) == record
    counted = f"{record['compute']['counted_flops']:.3e}".replace("e+", "e")
    for text in (written["md"], written["html"]):
        assert counted in text
        assert "no legal advice" in text
        assert all(line["name"] in text for line in record["lines"])
        assert "estimated" in text
    assert "no legal advice" in record["notice"]
    links = _Links()
    links.feed(written["html"])
    assert (links.open, links.outside) == ([], [])
    assert "<b>mine" not in written["html"]
    assert "<b>mine" not in written["md"]
    assert not re.search(r"http|@import|url\(", written["html"])


def test_without_options_the_files_lie_in_the_run_folder(kolossos, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    code, out, _ = kolossos(str(folder))
    assert code == 0
    assert sorted(p.name for p in (folder / "report").iterdir()) == ["report.html", "report.json", "report.md"]
    assert "no legal advice" in out
    before = (folder / "report" / "report.html").read_bytes()
    kolossos(str(folder))
    assert (folder / "report" / "report.html").read_bytes() == before


def test_json_alone_writes_no_files(kolossos, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    code, out, err = kolossos(str(folder), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["subject"]["kind"] == "run"
    assert not (folder / "report").exists()


@pytest.mark.parametrize("key", list(PLAN))
def test_each_missing_key_of_a_plan_is_one_clear_line(kolossos, tmp_path: Path, key: str) -> None:
    code, out, err = kolossos(str(plan_file(tmp_path, **{key: ...})))
    assert (code, out) == (2, "")
    assert f"key '{key}' is missing" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": -1}, "key 'tokens' = -1: expected a number above 0"),
        ({"tokens": None}, "key 'tokens' = None"),
        ({"days": "five"}, "key 'days' = 'five'"),
        ({"days": {"p05": 3, "p50": 2, "p95": 4}}, "not in this order"),
        ({"model": "grok-9"}, "unknown model 'grok-9'"),
        ({"model": {"name": "x"}}, "plan.json: model: key 'n_layers' is missing"),
        ({"layout": {"tpp": 8}}, "plan.json: layout: unknown key 'tpp'"),
        ({"layout": 8}, "key 'layout' = 8"),
    ],
)
def test_bad_values_of_a_plan_are_one_clear_line(kolossos, tmp_path: Path, changes: dict, message: str) -> None:
    code, out, err = kolossos(str(plan_file(tmp_path, **changes)))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_inputs_that_are_no_run_and_no_plan_are_one_clear_line(kolossos, tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("[1, 2]")
    (tmp_path / "cut.json").write_text("{")
    (tmp_path / "empty").mkdir()
    begun = run_folder(tmp_path, steps=0)
    plan = str(plan_file(tmp_path))
    for arguments, message in (
        ([str(tmp_path / "gone")], "no such run folder or file"),
        ([str(tmp_path / "no.json")], "expected a JSON object"),
        ([str(tmp_path / "cut.json")], "not valid JSON"),
        ([str(tmp_path / "empty")], "it has no run.toml"),
        ([str(begun)], "no training step"),
        ([plan, "--developer-revenue-usd", "-1"], "expected a number of dollars"),
        ([plan, "--out", plan], "is a file, expected a folder"),
    ):
        code, out, err = kolossos(*arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert err.count("\n") == 1
