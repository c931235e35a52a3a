"""A plan as a torchtitan configuration in TOML.

Keys as in torchtitan/config/job_config.py while torchtitan read TOML (pytorch/torchtitan, 2025: JobConfig with
Training, Parallelism, ActivationCheckpoint, Compile, Quantize). torchtitan names its models by
flavour; a model that has none needs one with the sizes that the comments give.
"""

import tomli_w

from kolossos.plan.answer.export.run_file import n_steps
from kolossos.plan.answer.one_kind import Answer
from kolossos.plan.layers import stage_layers
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

FLAVOURS = {
    "llama3-8b": ("llama3", "8B"),
    "llama-3.1-8b": ("llama3", "8B"),
    "llama3-70b": ("llama3", "70B"),
    "llama3.1-70b": ("llama3", "70B"),
    "llama-3.1-405b": ("llama3", "405B"),
    "deepseek-v3-671b": ("deepseek_v3", "671B"),
    "llama4-scout": ("llama4", "17bx16e"),
    "llama4-maverick-400b": ("llama4", "17bx128e"),
}
SCHEDULES = {
    "1f1b": ("1F1B", ""),
    "zero-bubble": (
        "1F1B",
        "Planned with zero-bubble on undivided stages, which torchtitan lacks: 1F1B stands here, slower.",
    ),
}
"""torchtitan's name for each schedule on undivided stages, and what it does otherwise than the plan."""


def torchtitan_toml(answer: Answer) -> str:
    """TOML with comments on what torchtitan does otherwise than the plan."""
    layout, model = answer.priced.layout, answer.job.model
    name, flavour = FLAVOURS.get(model.name, ("llama3", f"{model.name}"))
    tables = {
        "job": {"description": f"{model.name}, planned by Kolossos for {layout.world_size} {answer.job.gpu.name}"},
        "model": {"name": name, "flavor": flavour, **_converters(layout)},
        "training": _training(layout) | {"steps": n_steps(answer)},
        "parallelism": _parallelism(model, layout),
        "activation_checkpoint": {"mode": layout.recompute, "selective_ac_option": "op"},
        "compile": {"enable": True},
        **_quantize(layout),
    }
    heading = [f"# Written by `kolossos plan`: {model.name} on {layout.world_size:,} {answer.job.gpu.name}."]
    heading += [f"# {text}" for text in differences_from_plan(model, layout)]
    return "\n".join(heading) + "\n\n" + tomli_w.dumps(tables)


def _training(layout: Layout) -> dict[str, object]:
    """torchtitan's local batch is what a pipeline works through at once, or one micro-batch that accumulates."""
    pipelined = layout.pp > 1
    return {
        "local_batch_size": layout.micro_batch_size * (layout.accumulation_steps if pipelined else 1),
        "global_batch_size": layout.global_batch_size,
        "seq_len": layout.seq_len,
    }


def _parallelism(model: ModelSpec, layout: Layout) -> dict[str, object]:
    replicas = layout.data_parallel if layout.sharding == "none" else layout.dp_replicate
    found: dict[str, object] = {
        "data_parallel_replicate_degree": replicas,
        "data_parallel_shard_degree": layout.data_parallel // replicas,
        "fsdp_reshard_after_forward": "always" if layout.sharding == "parameters" else "never",
        "tensor_parallel_degree": layout.tp,
        "enable_async_tensor_parallel": layout.tp > 1,
        "context_parallel_degree": layout.cp,
        "pipeline_parallel_degree": layout.pp,
    }
    if layout.pp > 1:
        layers = stage_layers(model.n_layers, layout.pp, layout.vp)
        full, schedule = max(layers), SCHEDULES[layout.schedule][0]
        found |= {
            "pipeline_parallel_schedule": f"Interleaved{schedule}" if layout.vp > 1 else schedule,
            "pipeline_parallel_microbatch_size": layout.micro_batch_size,
            "pipeline_parallel_layers_per_stage": full // layout.vp,
            "pipeline_parallel_first_stage_less_layers": full - layers[0],
            "pipeline_parallel_last_stage_less_layers": full - layers[-1],
        }
    if model.moe:
        found |= {"expert_parallel_degree": layout.ep, "expert_tensor_parallel_degree": layout.etp}
    return found


def _converters(layout: Layout) -> dict[str, object]:
    names = {"fp8": "quantize.linear.float8", "mxfp8": "quantize.linear.mx"}
    return {"converters": [names[layout.precision]]} if layout.precision in names else {}


def _quantize(layout: Layout) -> dict[str, object]:
    if layout.precision == "fp8":
        float8 = {"enable_fsdp_float8_all_gather": True, "precompute_float8_dynamic_scale_for_fsdp": True}
        return {"quantize": {"linear": {"float8": {**float8, "filter_fqns": ["output"]}}}}
    if layout.precision == "mxfp8":
        return {"quantize": {"linear": {"mx": {"recipe_name": "mxfp8_cublas", "filter_fqns": ["output"]}}}}
    return {}


def differences_from_plan(model: ModelSpec, layout: Layout) -> list[str]:
    """What torchtitan cannot do as planned, and what it needs besides."""
    said = []
    if model.name not in FLAVOURS:
        moe = (
            f", {model.moe.n_experts} experts of width {model.moe.expert_dim}, top {model.moe.top_k}"
            if model.moe
            else ""
        )
        said.append(
            f"torchtitan has no flavour for {model.name}: add one with dim {model.dim}, {model.n_layers} layers, "
            f"{model.n_heads} heads, {model.n_kv_heads} key-value heads, vocabulary {model.vocab_size}{moe}."
        )
    if remark := SCHEDULES[layout.schedule][1]:
        said.append(remark)
    if layout.sharding in ("optimizer", "gradients"):
        said.append("torchtitan shards parameters too (FSDP2); kept after forward, that comes nearest to the plan.")
    if layout.etp not in (1, layout.tp):
        said.append(f"torchtitan's expert_tensor_parallel_degree is 1 or tp; the plan has {layout.etp}.")
    if layout.precision == "nvfp4":
        said.append("torchtitan does not train in nvfp4: bf16 stands here.")
    return said
