"""A plan as arguments of Megatron-LM's pretrain_gpt.py.

Names as in megatron/training/arguments.py of NVIDIA/Megatron-LM@000c4ac (`_add_distributed_args`, `_add_moe_args`,
`_add_mla_args`, `_add_network_size_args`). What Megatron-LM has no argument for is said in comments.
"""

from kolossos.plan.answer.export.run_file import n_steps
from kolossos.plan.answer.one_kind import Answer
from kolossos.plan.layers import chunk_layers, chunk_rule
from kolossos.plan.rates.software import load_software
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

Arguments = dict[str, object]
"""Names without dashes; True stands for a switch."""
STRATEGIES = {"gradients": "optim_grads", "parameters": "optim_grads_params"}
SCHEDULES = {
    "1f1b": "",
    "zero-bubble": "the zero-bubble schedule (Megatron-LM runs 1F1B: the bubble will be larger than planned)",
}
"""What Megatron-LM lacks of each schedule."""
RECOMPUTES: dict[str, Arguments] = {
    "none": {},
    "selective": {"recompute-granularity": "selective"},
    "full": {"recompute-granularity": "full", "recompute-method": "uniform", "recompute-num-layers": 1},
}
PRECISIONS: dict[str, Arguments] = {
    "fp32": {},
    "bf16": {"bf16": True},
    "fp8": {"bf16": True, "fp8-format": "hybrid", "fp8-recipe": "delayed"},
    "mxfp8": {"bf16": True, "fp8-format": "e4m3", "fp8-recipe": "mxfp8"},
    "nvfp4": {"bf16": True, "fp4-format": "e2m1", "fp4-recipe": "nvfp4"},
}


def megatron_arguments(answer: Answer) -> str:
    """A shell fragment: comments, and the array MEGATRON_ARGS."""
    model, layout = answer.job.model, answer.priced.layout
    arguments = model_arguments(model) | layout_arguments(model, layout) | _training(answer)
    lines = [f"# Written by `kolossos plan`: {model.name} on {layout.world_size:,} {answer.job.gpu.name}."]
    lines += [
        '# Use: source this file, then torchrun ... pretrain_gpt.py "${MEGATRON_ARGS[@]}" and your data\'s arguments.'
    ]
    lines += [f"# Not in these arguments: {text}." for text in left_out(model, layout)]
    lines += ["MEGATRON_ARGS=(", *(f"    {_spelt(name, value)}" for name, value in arguments.items()), ")"]
    return "\n".join(lines) + "\n"


def _spelt(name: str, value: object) -> str:
    return f"--{name}" if value is True else f"--{name} {value}"


def model_arguments(model: ModelSpec) -> Arguments:
    """The network."""
    found: Arguments = {
        "num-layers": model.n_layers,
        "hidden-size": model.dim,
        "num-attention-heads": model.n_heads,
        "kv-channels": model.head_dim,
        "ffn-hidden-size": model.ffn_dim or (model.moe.expert_dim if model.moe else 4 * model.dim),
        "vocab-size": model.vocab_size,
        "max-position-embeddings": model.max_seq_len,
        "position-embedding-type": "rope",
        "rotary-base": int(model.rope_theta),
        "normalization": "RMSNorm",
        "norm-epsilon": model.norm_eps,
        "disable-bias-linear": True,
    }
    if model.gated_mlp:
        found["swiglu"] = True
    if not model.tied_embeddings:
        found["untie-embeddings-and-output-weights"] = True
    if model.rope_scaling:
        found |= {"use-rope-scaling": True, "rope-scaling-factor": model.rope_scaling.factor}
    return found | _attention(model) | _experts(model)


def _attention(model: ModelSpec) -> Arguments:
    if model.mla is None:
        grouped = model.n_kv_heads < model.n_heads
        return {"group-query-attention": True, "num-query-groups": model.n_kv_heads} if grouped else {}
    mla = model.mla
    ranks: Arguments = {"q-lora-rank": mla.q_lora_rank} if mla.q_lora_rank else {}
    return {
        "multi-latent-attention": True,
        **ranks,
        "kv-lora-rank": mla.kv_lora_rank,
        "qk-head-dim": mla.qk_nope_head_dim,
        "qk-pos-emb-head-dim": mla.qk_rope_head_dim,
        "v-head-dim": mla.v_head_dim,
    }


def _experts(model: ModelSpec) -> Arguments:
    if model.moe is None:
        return {}
    moe = model.moe
    found: Arguments = {
        "num-experts": moe.n_experts,
        "moe-router-topk": moe.top_k,
        "moe-ffn-hidden-size": moe.expert_dim,
        "moe-grouped-gemm": True,
        "moe-token-dispatcher-type": "alltoall",
    }
    if not moe.renormalize:
        found["moe-router-pre-softmax"] = True
    if moe.shared_dim:
        found["moe-shared-expert-intermediate-size"] = moe.shared_dim
    if model.first_dense_layers or moe.every > 1:
        rest = model.n_layers - model.first_dense_layers
        pattern = f"[0]*{model.first_dense_layers}+" if model.first_dense_layers else ""
        cycle = f"([0]*{moe.every - 1}+[1])*{rest // moe.every}" if moe.every > 1 else f"[1]*{rest}"
        tail = f"+[0]*{rest % moe.every}" if rest % moe.every else ""
        found["moe-layer-freq"] = f"'({pattern}{cycle}{tail})'"
    return found


def layout_arguments(model: ModelSpec, layout: Layout) -> Arguments:
    """Parallelism, batch, recompute and precision."""
    found: Arguments = {
        "tensor-model-parallel-size": layout.tp,
        "pipeline-model-parallel-size": layout.pp,
        "context-parallel-size": layout.cp,
        "micro-batch-size": layout.micro_batch_size,
        "global-batch-size": layout.global_batch_size,
        "seq-length": layout.seq_len,
    }
    if layout.tp > 1:
        found["sequence-parallel"] = True
    if model.moe:
        found |= {"expert-model-parallel-size": layout.ep, "expert-tensor-parallel-size": layout.etp}
    return (
        found
        | _pipeline(model, layout)
        | _sharding(layout)
        | RECOMPUTES[layout.recompute]
        | PRECISIONS[layout.precision]
    )


def _pipeline(model: ModelSpec, layout: Layout) -> Arguments:
    """Layers by stage: equal chunks, where the embedding and the loss may stand for a layer each; else one by one."""
    if layout.pp == 1:
        return {}
    rule = chunk_rule(model.n_layers, layout.pp, layout.vp)
    chunk, missing = int(rule.chunk), int(rule.missing)
    if missing > 2:
        by_stage = chunk_layers(model.n_layers, layout.pp, layout.vp)
        chunks = [stage[part] for part in range(layout.vp) for stage in by_stage]
        return {"pipeline-model-parallel-layout": "'E" + "|".join("t" * n for n in chunks) + "L'"}
    found: Arguments = {"num-layers-per-virtual-pipeline-stage": chunk} if layout.vp > 1 else {}
    if missing:
        found["account-for-loss-in-pipeline-split"] = True
    if missing == 2:
        found["account-for-embedding-in-pipeline-split"] = True
    return found


def _sharding(layout: Layout) -> Arguments:
    if layout.sharding == "none":
        return {}
    found: Arguments = {"use-distributed-optimizer": True}
    if layout.sharding in STRATEGIES:
        found |= {"use-megatron-fsdp": True, "data-parallel-sharding-strategy": STRATEGIES[layout.sharding]}
        found |= {"ckpt-format": "fsdp_dtensor", "no-gradient-accumulation-fusion": True}
    if layout.dp_replicate > 1:
        found["num-distributed-optimizer-instances"] = layout.dp_replicate
    return found


def _training(answer: Answer) -> Arguments:
    software = load_software().named(answer.job.software)
    found: Arguments = {"train-iters": n_steps(answer), "use-flash-attn": True}
    if software.tp_overlap and answer.priced.layout.tp > 1:
        found["tp-comm-overlap"] = True
    if software.dp_overlap:
        found["overlap-grad-reduce"] = True
        if answer.priced.layout.sharding != "none":
            found["overlap-param-gather"] = True
    return found


def left_out(model: ModelSpec, layout: Layout) -> list[str]:
    """What the plan or the model has and Megatron-LM's arguments do not."""
    said = [SCHEDULES[layout.schedule]] if SCHEDULES[layout.schedule] else []
    if model.gated_mlp and model.activation == "gelu_tanh":
        said.append("GELU in the gated MLP (SwiGLU stands here: same shapes and FLOPs)")
    for name, text in (
        ("post_norm", "norms after each block"),
        ("attn_softcap", "the cap on attention logits"),
        ("output_softcap", "the cap on output logits"),
    ):
        if getattr(model, name):
            said.append(text)
    if model.embedding_multiplier != 1.0 or model.output_multiplier != 1.0:
        said.append("the multipliers of embedding and output")
    if model.dense_beside_experts:
        said.append("the dense branch beside the experts")
    return said
