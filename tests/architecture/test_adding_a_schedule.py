"""A pipeline schedule is added in four files: its name in Layout, its object, a generation of software, an exporter."""

import json
import re
import tomllib
from pathlib import Path

from overlay import overlay, run

GPIPE = '''"""GPipe (arXiv:1811.06965, section 2.3): all forwards, then all backwards; every micro-batch stays alive."""

from kolossos.plan.columns import Column, LayoutColumns
from kolossos.plan.layers import Stages
from kolossos.plan.schedules.one_forward_one_backward import OneForwardOneBackward
from kolossos.plan.schedules.schedule import InFlight, Mask, Orders, StagePasses
from kolossos.plan.schedules.tasks import BACKWARD, FORWARD, passes_in_turn
from kolossos.plan.setting import Setting


class GPipe(OneForwardOneBackward):
    """Sends block as in 1F1B."""

    name = "gpipe"
    needs = "a pipeline of undivided stages"
    right = "pp > 1 and vp = 1"

    def allows(self, pp: Column, vp: Column) -> Mask:
        return (pp > 1) & (vp == 1)

    def pipeline_seconds(self, passes: StagePasses, stage: Stages, setting: Setting) -> Column:
        n, pp = setting.layout.micro_batches, setting.layout.pp
        return (passes.forward + passes.backward) * (n + pp - 1.0) + passes.head * n

    def in_flight(self, layout: LayoutColumns) -> InFlight:
        return InFlight(layout.micro_batches, layout.micro_batches)

    def alive_on(self, stage: int, pp: int, vp: int, n_micro: int) -> float:
        return float(n_micro)

    def orders(self, pp: int, vp: int, n_micro: int) -> list[Orders]:
        order = [task for way in (FORWARD, BACKWARD) for task in passes_in_turn(pp, vp, n_micro, way)]
        return [[order] * pp]


SCHEDULE = GPipe()
'''
PLAN = ("plan", "llama3-8b", "--cluster", "dgx-h100-64", "--seq-len", "4096", "--json")
LAYOUT = "tp=2,pp=4,dp_shard=8,global_batch_size=128"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def add_gpipe(root: Path) -> None:
    """The four files."""
    edit(root / "kolossos/specs/layout.py", '"1f1b", "zero-bubble"]', '"1f1b", "zero-bubble", "gpipe"]')
    (root / "kolossos/plan/schedules/gpipe.py").write_text(GPIPE, encoding="utf-8")
    software = root / "kolossos/plan/rates/software.toml"
    both = r'schedules = \[[^]]*"zero-bubble"[^]]*\]'
    software.write_text(re.sub(both, 'schedules = ["gpipe"]', software.read_text()), encoding="utf-8")
    edit(
        root / "kolossos/plan/answer/export/torchtitan.py",
        "SCHEDULES = {\n",
        'SCHEDULES = {\n    "gpipe": ("GPipe", ""),\n',
    )


def test_a_schedule_is_priced_played_searched_and_exported_after_four_files(tmp_path: Path) -> None:
    root = overlay(tmp_path)
    add_gpipe(root)
    out = root / "titan.toml"
    done = run(root, *PLAN, "--layout", f"{LAYOUT},schedule=gpipe", "--export", "torchtitan", "--out", str(out))
    assert done.returncode == 0, done.stderr
    new, old = json.loads(done.stdout), json.loads(run(root, *PLAN, "--layout", LAYOUT).stdout)
    assert new["layout"]["schedule"] == "gpipe"
    assert new["step_time_s"] > 0.9 * old["step_time_s"]
    assert abs(new["played_step_time_s"] / new["step_time_s"] - 1) < 0.03
    assert new["memory_parts"]["activations"] / old["memory_parts"]["activations"] == 16 / 4
    assert [stage["activations"] > 0 for stage in new["memory_by_stage"]] == [True] * 4
    assert min(new["parts"].values()) >= 0
    assert tomllib.loads(out.read_text())["parallelism"]["pipeline_parallel_schedule"] == "GPipe"
    searched = json.loads(run(root, *PLAN, "--software", "fsdp2-2025", "--gpus", "32").stdout)
    assert searched["layout"]["schedule"] == "gpipe"
    assert searched["layout"]["pp"] > 1


def test_what_a_schedule_cannot_be_combined_with_is_refused_and_so_is_an_exporter_without_words(tmp_path: Path) -> None:
    root = overlay(tmp_path)
    add_gpipe(root)
    refused = run(root, *PLAN, "--layout", "tp=2,pp=4,vp=2,dp_shard=8,global_batch_size=128,schedule=gpipe")
    assert refused.returncode == 2
    assert "gpipe needs a pipeline of undivided stages" in refused.stderr
    given = ("--layout", f"{LAYOUT},schedule=gpipe", "--export", "megatron", "--out", "megatron.sh")
    refused = run(root, *PLAN, *given)
    assert refused.returncode == 2
    assert "gpipe" in refused.stderr
    assert not (root / "megatron.sh").exists()
