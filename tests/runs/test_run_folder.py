"""A run folder without torch: what lies in it, what was promised, and what may change between two parts of a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.runs.environment import Environment, processor_name
from kolossos.runs.folder import RunFolder
from kolossos.runs.paths import RunPaths
from kolossos.runs.promise import read_promise
from kolossos.specs.run import RunSpec, changed_keys, load_run

RUN = """
name = "small"
[model]
spec = "grok-nano"
[data]
path = "data"
[layout]
seq_len = 64
[schedule]
steps = 100
warmup_steps = 7
[compute]
threads = 2
"""
PROMISE = """
[promise]
cluster = "dgx-h100-256"
gpu = "h100"
n_gpus = 256
software = "2024"
step_time_s = 1.5
step_time_low_s = 1.0
step_time_high_s = 2
tokens_per_step = 4194304
mfu = 0.41
parts_s = { compute = 1.2, exposed = 0.3 }
memory_bytes = { weights = 1e10, activations = 2e10 }
[promise.layout]
tp = 4
dp_shard = 64
global_batch_size = 512
seq_len = 8192
"""


@pytest.fixture
def planned(tmp_path: Path) -> RunSpec:
    (tmp_path / "run.toml").write_text(RUN + PROMISE)
    return load_run(tmp_path / "run.toml")


@pytest.fixture
def made(planned: RunSpec, tmp_path: Path) -> RunFolder:
    (tmp_path / "tokenizer.json").write_text("{}")
    return RunFolder.create(tmp_path / "run", planned, tmp_path / "tokenizer.json")


def test_no_module_of_runs_loads_torch() -> None:
    check = (
        "import pkgutil, importlib, sys, kolossos.runs as runs\n"
        "for found in pkgutil.iter_modules(runs.__path__): importlib.import_module(f'kolossos.runs.{found.name}')\n"
        "import kolossos.train.lifecycle.request\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_what_a_plan_said_is_kept_beside_the_run_and_is_no_part_of_it(
    made: RunFolder, planned: RunSpec, tmp_path: Path
) -> None:
    promise = read_promise(made.files.promise)
    assert promise == planned.promise
    assert promise is not None
    assert promise.layout.tp == 4
    assert promise.tokens_per_s == 4194304 / 1.5
    again = RunFolder.open(tmp_path / "run")
    assert again.spec == planned.without_promise()
    assert "promise" not in made.files.run_file.read_text()
    assert changed_keys(again.spec, planned) == []
    assert again.continued(planned) == again.spec


def test_most_runs_have_no_promise_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = RunPaths(tmp_path).promise
    assert read_promise(path) is None
    path.write_text('{"cluster": "x"}')
    with pytest.raises(InputError, match=r"promise\.json: key 'gpu' is missing"):
        read_promise(path)


def test_a_wrong_promise_in_a_run_file_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text((RUN + PROMISE).replace("mfu = 0.41", "mfuu = 0.41"))
    with pytest.raises(InputError, match=r"promise\.mfu"):
        load_run(path)


def test_asking_whether_a_run_may_go_on_writes_nothing(made: RunFolder, planned: RunSpec) -> None:
    before = made.files.run_file.read_bytes()
    wanted = planned.with_overrides(["checkpoint.keep=9"], "here")
    assert made.continued(wanted).checkpoint.keep == 9
    assert made.files.run_file.read_bytes() == before
    made.adopt(wanted)
    assert RunFolder.open(made.path).spec.checkpoint.keep == 9
    with pytest.raises(InputError, match=r"started with seed = 1, the run file now says 2; put it back"):
        made.continued(planned.with_overrides(["seed=2"], "here"))


def test_threads_chosen_at_the_beginning_stay_unless_others_are_named(made: RunFolder, planned: RunSpec) -> None:
    assert made.continued(planned.with_threads(0)).compute.threads == 2
    assert made.continued(planned.with_threads(5)).compute.threads == 5


def test_a_folder_is_replaced_only_when_the_new_one_is_whole(made: RunFolder, planned: RunSpec, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunFolder.create(made.path, planned, tmp_path / "no tokenizer", replace=True)
    assert RunFolder.open(made.path).spec == made.spec
    RunFolder.create(made.path, planned.with_steps(3), tmp_path / "tokenizer.json", replace=True)
    assert RunFolder.open(made.path).spec.schedule.steps == 3


def test_environment_is_read_as_written_and_other_versions_keys_are_left_out(tmp_path: Path) -> None:
    path = RunPaths(tmp_path).environment
    assert Environment.read(path) is None
    made = Environment.here(torch="2", device="a processor", threads=3, measured_peak_flops=1e11, compiled="on")
    made.write(path)
    assert Environment.read(path) == made
    path.write_text(json.dumps({"device": "NVIDIA H100 80GB HBM3", "colour": "green"}))
    assert Environment.read(path) == Environment(device="NVIDIA H100 80GB HBM3")
    path.write_text("[")
    with pytest.raises(InputError, match="not valid JSON"):
        Environment.read(path)


def test_the_processor_has_a_name() -> None:
    assert processor_name()
