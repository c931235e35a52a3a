"""A plan's files say the same layout to Kolossos, Megatron-LM and torchtitan."""

import re
import tomllib
from pathlib import Path

import pytest

from kolossos.plan.answer.export import EXPORTS, write_export
from kolossos.plan.answer.one_kind import answer
from kolossos.plan.job import Job
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.layout import Layout
from kolossos.specs.run import load_run

LAYOUTS = {
    "grok-1": Layout(
        tp=4, pp=8, vp=8, ep=8, etp=1, dp_shard=8, dp_replicate=4, micro_batch_size=1, global_batch_size=1024,
        seq_len=8192, recompute="full", precision="fp8", sharding="optimizer",
    ),
    "llama-3.1-405b": Layout(precision="bf16",
        tp=8, pp=8, vp=4, cp=2, dp_shard=8, micro_batch_size=1, global_batch_size=128, seq_len=8192,
        recompute="selective", sharding="parameters",
    ),
    "deepseek-v3-671b": Layout(precision="bf16",
        tp=1, pp=16, ep=64, dp_shard=64, micro_batch_size=1, global_batch_size=1024, seq_len=4096, sharding="optimizer",
    ),
}  # fmt: skip


def plan_of(name: str):
    cluster = load_cluster("dgx-h100-1024")
    job = Job.of(load_model(name), cluster).with_layout(LAYOUTS[name])
    return answer(job, cluster, 1e12, LAYOUTS[name])


@pytest.mark.parametrize("name", ["grok-1", "llama-3.1-405b"])
def test_a_run_file_is_read_back_with_the_same_layout_and_model(name, tmp_path: Path):
    plan, path = plan_of(name), tmp_path / "run.toml"
    write_export("kolossos", plan, path)
    run = load_run(path)
    assert run.layout == plan.priced.layout
    assert run.model == plan.job.model
    tokens = run.schedule.steps * run.layout.global_batch_size * run.layout.seq_len
    assert 1e12 <= tokens < 1e12 + plan.priced.tokens_per_step


def arguments_of(text: str) -> dict[str, str]:
    inside = text.split("MEGATRON_ARGS=(")[1].rsplit(")", 1)[0]
    return {m[1]: m[2].strip() for m in re.finditer(r"--([a-z0-9-]+)([^\n]*)", inside)}


def test_megatron_arguments_say_the_layout_in_megatrons_words():
    text = EXPORTS["megatron"](plan_of("grok-1"))
    got = arguments_of(text)
    wanted = {
        "tensor-model-parallel-size": "4",
        "pipeline-model-parallel-size": "8",
        "num-layers-per-virtual-pipeline-stage": "1",
        "context-parallel-size": "1",
        "expert-model-parallel-size": "8",
        "expert-tensor-parallel-size": "1",
        "micro-batch-size": "1",
        "global-batch-size": "1024",
        "seq-length": "8192",
        "num-layers": "64",
        "num-experts": "8",
        "moe-router-topk": "2",
        "num-query-groups": "8",
        "num-distributed-optimizer-instances": "4",
        "recompute-granularity": "full",
        "recompute-method": "uniform",
        "fp8-format": "hybrid",
    }
    assert {name: got.get(name) for name in wanted} == wanted
    assert {"sequence-parallel", "use-distributed-optimizer", "bf16", "overlap-grad-reduce"} <= set(got)
    assert "account-for-loss-in-pipeline-split" not in got
    assert "cap on attention logits" in text


def test_megatron_counts_embedding_and_loss_as_layers_where_chunks_need_them():
    got = arguments_of(EXPORTS["megatron"](plan_of("llama-3.1-405b")))
    assert {"account-for-loss-in-pipeline-split", "account-for-embedding-in-pipeline-split"} <= set(got)
    assert got["num-layers-per-virtual-pipeline-stage"] == "4"
    assert got["data-parallel-sharding-strategy"] == "optim_grads_params"
    assert got["recompute-granularity"] == "selective"
    assert "fp8-format" not in got
    assert "num-experts" not in got


def test_megatron_knows_latent_attention_and_first_dense_layers():
    got = arguments_of(EXPORTS["megatron"](plan_of("deepseek-v3-671b")))
    assert got["kv-lora-rank"] == "512"
    assert got["qk-pos-emb-head-dim"] == "64"
    pattern = eval(got["moe-layer-freq"].strip("'"))
    assert len(pattern) == 61
    assert sum(pattern) == 58
    assert pattern[:3] == [0, 0, 0]
    stages = got["pipeline-model-parallel-layout"].strip("'").split("|")
    assert [stage.count("t") for stage in stages] == [3, *[4] * 14, 2]
    assert stages[0][0] == "E"
    assert stages[-1][-1] == "L"


def test_torchtitan_toml_multiplies_out_to_the_same_world_and_batch():
    for name in ("grok-1", "llama-3.1-405b"):
        plan = plan_of(name)
        layout, text = plan.priced.layout, EXPORTS["torchtitan"](plan)
        config = tomllib.loads(text)
        axes = config["parallelism"]
        degrees = ("data_parallel_replicate", "data_parallel_shard", "tensor_parallel", "context_parallel")
        world = axes["pipeline_parallel_degree"]
        for degree in degrees:
            world *= axes[f"{degree}_degree"]
        assert world == layout.world_size
        replicas = axes["data_parallel_replicate_degree"] * axes["data_parallel_shard_degree"]
        assert config["training"]["local_batch_size"] * replicas == config["training"]["global_batch_size"]
        assert axes["pipeline_parallel_schedule"] == "Interleaved1F1B"
        less = axes["pipeline_parallel_first_stage_less_layers"] + axes["pipeline_parallel_last_stage_less_layers"]
        chunks = axes["pipeline_parallel_layers_per_stage"] * layout.pp * layout.vp
        assert chunks - less == plan.job.model.n_layers
        assert config["activation_checkpoint"]["mode"] == layout.recompute
    assert config["model"]["flavor"] == "405B"
