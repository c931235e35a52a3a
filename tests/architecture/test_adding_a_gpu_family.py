"""A family of GPUs is added in two files: the family's, and that of its first card."""

import json
from pathlib import Path

import pytest
from overlay import overlay, run

FAMILY = """
source = "made up"
compute_capabilities = [13]
nic_bytes_per_s = 100e9
waiting_share = 0.5

[links]
nvlink_efficiency = 0.85
fabric_efficiency = 0.7
collective_share = 0.2

[rates]
matmul_scale_bf16 = 1.3
matmul_scale_fp8 = 1.1
matmul_scale_fp4 = 1.1
attention_scale = 1.0
memory_efficiency = 0.8

[kernels]
measured_on = "b200"
tiles = [[256, 256, 2], [256, 128, 2], [128, 128, 1], [64, 64, 1]]
backward_rate = 0.86
backward_rate_source = "taken from Blackwell"
"""
CARD = """
source = "made up"
family = "rubin"
memory_bytes = 300e9
memory_bandwidth_bytes_per_s = 16e12
n_sms = 200
l2_bytes = 150e6
nvlink_bytes_per_s = 1800e9
tdp_watts = 1800.0
idle_watts = 200.0
usd_per_hour = 6.0

[peak_flops]
bf16 = 5e15
fp8 = 10e15
"""
CLUSTER = '[[pools]]\ngpu = "r100"\ncount = 64\nnvlink_domain = 8\n'


def test_a_plan_for_a_card_of_a_new_family_after_two_files(tmp_path: Path) -> None:
    root = overlay(tmp_path)
    catalogue = root / "kolossos/specs/catalogue"
    (catalogue / "families/rubin.toml").write_text(FAMILY, encoding="utf-8")
    (catalogue / "gpus/r100.toml").write_text(CARD, encoding="utf-8")
    (root / "cluster.toml").write_text(CLUSTER, encoding="utf-8")  # what is asked, not what is added
    plans = {
        cluster: run(root, "plan", "llama3-8b", "--cluster", cluster, "--gpus", "32", "--precision", "bf16", "--json")
        for cluster in ("cluster.toml", "dgx-h100-64")
    }
    assert all(done.returncode == 0 for done in plans.values()), [done.stderr for done in plans.values()]
    new, old = (json.loads(done.stdout) for done in plans.values())
    assert new["gpu"] == "r100"
    assert 2 < new["tokens_per_s"] / old["tokens_per_s"] < 8
    assert new["played_step_time_s"] == pytest.approx(new["step_time_s"], rel=0.03)
    assert new["energy_joules"] > 0


def test_a_card_of_a_family_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    root = overlay(tmp_path)
    (root / "kolossos/specs/catalogue/gpus/r100.toml").write_text(CARD, encoding="utf-8")
    (root / "cluster.toml").write_text(CLUSTER, encoding="utf-8")
    done = run(root, "plan", "llama3-8b", "--cluster", "cluster.toml")
    assert done.returncode == 2
    assert "unknown family 'rubin'" in done.stderr
    assert "hopper" in done.stderr
