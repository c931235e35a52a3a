"""The command: counts as JSON on stdout alone, and bad input in one line."""

import json
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.parallel.coordinates import on_ranks
from kolossos.specs.layout import Layout

RUN = """
name = "traced"
model = { spec = "grok-nano", n_layers = 2 }
data = { path = "nowhere" }
layout = { dp_shard = 2, micro_batch_size = 1, global_batch_size = 4, seq_len = 64 }
optimizer = { name = "muon" }
schedule = { steps = 1 }
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(RUN)
    return path


def test_counts_are_json_on_stdout_alone(run_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from kolossos.cli.jobs.trace import trace

    trace(run_file, gpus=8, rank=5, overrides=None, json=True)
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert found["gpus"] == 8
    assert found["coordinates"] == {"pp": 0, "dp_replicate": 2, "dp_shard": 1, "cp": 0, "tp": 0}
    assert found["flops"]["update"] > 0  # Muon's products
    axes = {row["axis"] for row in found["sent"]}
    assert {"dp_shard", "dp_replicate"} <= axes
    assert "8 ranks met" in err


def test_a_rank_that_is_not_there_is_said(run_file: Path) -> None:
    from kolossos.cli.jobs.trace import trace

    with pytest.raises(InputError, match="rank = 8: the layout has ranks 0 to 7"):
        trace(run_file, gpus=8, rank=8, overrides=None, json=True)


def test_more_ranks_are_more_replicas_with_as_many_sequences_each() -> None:
    layout = Layout(tp=2, dp_shard=3, dp_replicate=2, micro_batch_size=1, global_batch_size=24)
    more = on_ranks(layout, 60)
    assert (more.world_size, more.dp_replicate, more.global_batch_size) == (60, 10, 120)
    assert more.accumulation_steps == layout.accumulation_steps
    with pytest.raises(
        InputError, match="a replica of this layout has 6 ranks; use a multiple of it, such as 60 or 66"
    ):
        on_ranks(layout, 61)
