"""A model, a card, a failure table, a law: one file or entry each. A metric: its entry, the line that computes it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from overlay import overlay, run

MODEL = """
source = "made up"
n_layers = 20
dim = 2048
n_heads = 16
n_kv_heads = 4
head_dim = 128
vocab_size = 64000
max_seq_len = 8192
ffn_dim = 6144
activation = "silu"
"""
TABLE = """
source = "made up"
observed_node_days = 1000.0

[[causes]]
name = "cosmic rays"
kind = "hbm"
count = 40
"""
LAW = """
[[laws]]
key = "atlantis"
name = "Compute Act of Atlantis"
place = "Atlantis"
status = "in force"
status_detail = "since the flood"
flops_threshold = 1e20
counts = "everything"
scope = "whoever trains there"
penalty = "a swim"
source = "made up"
grade = "S"

[[laws.duties]]
what = "Tell the sea"
deadline = "at low tide"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = overlay(tmp_path_factory.mktemp("small"))
    package = made / "kolossos"
    (package / "specs/catalogue/models/atlas-1b.toml").write_text(MODEL, encoding="utf-8")
    card = (package / "specs/catalogue/gpus/h100.toml").read_text(encoding="utf-8")
    (package / "specs/catalogue/gpus/h123.toml").write_text(
        card.replace("n_sms = 132", "n_sms = 120"), encoding="utf-8"
    )
    (package / "simulate/tables/failures/atlantis.toml").write_text(TABLE, encoding="utf-8")
    with open(package / "report/tables/laws.toml", "a", encoding="utf-8") as file:
        file.write(LAW)
    (made / "cluster.toml").write_text('[[pools]]\ngpu = "h123"\ncount = 64\nnvlink_domain = 8\n', encoding="utf-8")
    return made


def printed(root: Path, *arguments: str) -> dict[str, Any]:
    done = run(root, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_and_a_card_of_a_known_family_are_planned_and_reported_under_a_new_law(root: Path) -> None:
    plan = printed(root, "plan", "atlas-1b", "--cluster", "cluster.toml", "--tokens", "1e11")
    assert (plan["model"]["name"], plan["gpu"]) == ("atlas-1b", "h123")
    (root / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    report = json.dumps(printed(root, "report", "plan.json"))
    assert "Compute Act of Atlantis" in report
    assert "Tell the sea" in report


def test_a_failure_table_is_simulated(root: Path) -> None:
    run_of = (
        "simulate",
        "atlas-1b",
        "--cluster",
        "dgx-h100-64",
        "--step-time",
        "1",
        "--days",
        "30",
        "--replicates",
        "3",
    )
    outcome = printed(root, *run_of, "--failures", "atlantis")
    assert outcome["inputs"]["failures"]["table"] == "atlantis"
    assert "cosmic rays" in json.dumps(outcome)


def test_a_metric_is_an_entry_and_the_line_that_computes_it(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    events, recorder = copy / "kolossos/runs/events.py", copy / "kolossos/train/recorder.py"
    for path, line, more in (
        (events, "METRICS = {\n", 'METRICS = {\n    "perplexity": Metric("1", STEP),\n'),
        (recorder, "    return values\n", '    values["perplexity"] = math.exp(values["loss"])\n    return values\n'),
    ):
        text = path.read_text(encoding="utf-8")
        assert line in text
        path.write_text(text.replace(line, more, 1), encoding="utf-8")
    (copy / "notes.txt").write_text("\n\n".join(f"note {i}: the sea is {i * i} fathoms deep" for i in range(600)))
    assert run(copy, "data", "prepare", "notes.txt", "--out", "data", "--vocab-size", "300").returncode == 0
    (copy / "run.toml").write_text(
        'name = "copy"\n[model]\nspec = "tiny-dense"\nn_layers = 1\ndim = 32\nn_heads = 2\nn_kv_heads = 1\n'
        'head_dim = 16\nffn_dim = 32\nvocab_size = 300\n[data]\npath = "data"\n[layout]\nseq_len = 16\n'
        "micro_batch_size = 2\n"
        'global_batch_size = 2\nprecision = "fp32"\n[schedule]\nsteps = 2\n[compute]\ncompile = "off"\ndevice = "cpu"\n'
    )
    assert run(copy, "train", "run.toml", "--run", "run").returncode == 0
    lines = [json.loads(line) for line in (copy / "run/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["perplexity"] == "1"  # its unit
    assert all(line["perplexity"] > 1 for line in lines if line.get("kind") == "train")
