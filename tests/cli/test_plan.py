"""``kolossos plan`` from outside: bad input is one line, JSON is alone on stdout, files are written whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["llama-3.1-8b", "--cluster", "dgx-h100-8", "--precision", "bf16"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["grok1", "--cluster", "dgx-h100-8"], "did you mean 'grok-1'"),
        (["grok-1", "--cluster", "colosus-100k"], "'colossus-100k'"),
        ([*SMALL, "--layout", "tp=3"], "tp divides the heads"),
        ([*SMALL, "--layout", "tp=2,pp=2,dp_shard=1", "--gpus", "8"], "differs from the 8 GPUs"),
        ([*SMALL, "--layout", "pp=64,dp_shard=1"], "no more chunks than layers"),
        ([*SMALL, "--layout", "tp=8,dp_shard=4"], "there are 8 h100"),
        ([*SMALL, "--layout", "tpp=8"], "did you mean 'tp'"),
        ([*SMALL, "--layout", "tp=x"], "valid integer"),
        ([*SMALL, "--layout", "tp8"], "such as tp=8"),
        ([*SMALL, "--precision", "nvfp4"], "it can in bf16, fp8"),
        ([*SMALL, "--precision", "fp9"], "'fp8'"),
        ([*SMALL, "--objective", "tim"], "'time'"),
        ([*SMALL, "--software", "megatron-20"], "unknown software generation"),
        ([*SMALL, "--gpus", "9"], "has 8"),
        ([*SMALL, "--tokens", "0"], "above 0"),
        ([*SMALL, "--seq-len", "1000000000"], "at most 1e+08"),
        ([*SMALL, "--tokens", "nan"], "above 0"),
        ([*SMALL, "--global-batch-tokens", "1e30"], "at most 1e+12"),
        ([*SMALL, "--layout", "mbs=2"], "unknown key 'mbs': write micro_batch_size"),
        ([*SMALL, "--layout", "tp=999999937"], "try tp ="),
        ([*SMALL, "--memory-margin", "1.5"], "--memory-margin 1.5: expected a share"),
        ([*SMALL, "--export", "megatron"], "belong together"),
        ([*SMALL, "--plot", "picture.txt"], ".png"),
        ([*SMALL, "--trace", "no/such/folder/t.json"], "no such folder"),
        (["llama-3.1-405b", "--cluster", "dgx-h100-8"], "GiB too much. It would fit"),
    ],
)
def test_bad_input_is_one_clear_line(kolossos, arguments, says):
    done = kolossos("plan", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_json_is_alone_on_stdout_and_has_every_figure(kolossos, tmp_path: Path):
    files = {name: tmp_path / name for name in ("run.toml", "step.json", "plan.png")}
    done = kolossos(
        "plan", *SMALL, "--gpus", "4", "--tokens", "1e10", "--why", "--json",
        "--export", "kolossos", "--out", str(files["run.toml"]), "--trace", str(files["step.json"]),
        "--plot", str(files["plan.png"]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    wanted = {
        "model", "cluster", "tokens", "model_flops", "energy_joules", "cost_usd", "days", "n_gpus", "layout",
        "step_time_s", "parts", "memory_bytes", "mfu", "intervals", "runner_ups", "pareto",
    }  # fmt: skip
    assert wanted <= set(plan)
    assert plan["model"]["name"] == "llama-3.1-8b"
    assert plan["cluster"] == "dgx-h100-8"
    assert plan["n_gpus"] <= 8
    assert sum(plan["parts"].values()) == pytest.approx(plan["step_time_s"], rel=1e-6)
    for key in ("step_time_s", "days", "energy_joules", "cost_usd", "mfu", "memory_bytes"):
        low, high = plan["intervals"][key]
        assert low < plan[key] < high
    assert plan["why"]["terms"]
    assert plan["why"]["purchases"]
    assert plan["runner_ups"]
    assert plan["pareto"]
    assert all(path.stat().st_size > 500 for path in files.values())
    assert json.loads(files["step.json"].read_text())["traceEvents"]


def test_the_table_says_step_memory_bill_rivals_and_assumptions(kolossos):
    done = kolossos("plan", *SMALL, "--gpus", "4", "--tokens", "1e10", "--why")
    assert done.returncode == 0, done.stderr
    for said in ("90 % interval", "MFU", "GiB", "rent", "Runners-up", "Pareto front", "what the next euro buys"):
        assert said in done.stdout
    assert "All figures are estimates" in done.stdout
    assert "layouts priced" in done.stdout


def test_a_layout_that_is_too_large_is_priced_and_said_not_to_fit(kolossos):
    arguments = ["llama3.1-70b", "--cluster", "dgx-h100-8", "--layout", "tp=8", "--seq-len", "8192"]
    done = kolossos("plan", *arguments)
    assert done.returncode == 0
    assert "Does not fit" in done.stdout
    assert json.loads(kolossos("plan", *arguments, "--json").stdout)["fits"] is False


def test_two_kinds_of_gpu_are_planned_together(kolossos, tmp_path: Path):
    path = tmp_path / "two.toml"
    path.write_text('[[pools]]\ngpu = "h100"\ncount = 8\n\n[[pools]]\ngpu = "a100-80g"\ncount = 8\n')
    plan = json.loads(kolossos("plan", "tiny-dense", "--cluster", str(path), "--json").stdout)
    ways = {split["how"] for split in plan["split"]}
    assert {"data-parallel shares", "islands"} <= ways
    assert sum(part["share_of_tokens"] for part in plan["split"][0]["contributions"]) == pytest.approx(1)


def test_planning_loads_no_torch():
    code = "import sys; import kolossos.plan.answer.request, kolossos.cli.show.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
