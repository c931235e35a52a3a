"""docs/run_file.md: every key of a run file, made from the spec that reads it.

python benchmarks/run_file_page.py            # writes the page
python benchmarks/run_file_page.py --check    # exit code 1 if the page differs from the spec
"""

import inspect
import sys
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pages import ROOT
from pydantic.fields import FieldInfo

from kolossos.specs.run import OPERATIONAL, RunSpec
from kolossos.specs.strict import Spec

PAGE = ROOT / "docs/run_file.md"
WRITTEN = ("promise", "changes")
"""Tables that are written by commands, and not by people."""

KEYS = {
    "name": ("", "of the run: its folder is `runs/NAME` unless `--run` says another"),
    "seed": ("", "of the first weights and of the order of the data"),
    "model.name": ("", "of the network"),
    "model.source": ("", "where its numbers are published"),
    "model.n_layers": ("layers", "depth"),
    "model.dim": ("elements", "width of the residual stream"),
    "model.n_heads": ("heads", "of queries"),
    "model.n_kv_heads": ("heads", "of keys and values; divides n_heads"),
    "model.head_dim": ("elements", "width of a head"),
    "model.vocab_size": ("tokens", "at least as many as the data's tokenizer has"),
    "model.max_seq_len": ("tokens", "longest text the model is made for"),
    "model.ffn_dim": ("elements", ""),
    "model.activation": ("", "of the dense MLP and the experts"),
    "model.norm_eps": ("", "added to the mean square in RMSNorm"),
    "model.rope_theta": ("", "base of the rotary frequencies"),
    "model.tied_embeddings": ("", "the output matrix is the embedding"),
    "model.embedding_multiplier": ("factor", "on the embedding"),
    "model.output_multiplier": ("factor", "on the logits of the output"),
    "model.output_softcap": ("logits", "c in c tanh(logits / c), on the output"),
    "model.attn_temperature_len": ("tokens", ""),
    "model.first_dense_layers": ("layers", ""),
    "model.mla.q_lora_rank": ("elements", ""),
    "model.mla.kv_lora_rank": ("elements", "width of the latent of keys and values"),
    "model.mla.qk_nope_head_dim": ("elements", "part of a head without rotation"),
    "model.mla.qk_rope_head_dim": ("elements", "part of a head with rotation"),
    "model.mla.v_head_dim": ("elements", "width of a head of values"),
    "model.moe.n_experts": ("experts", "in a layer"),
    "model.moe.top_k": ("experts", "that a token passes"),
    "model.moe.expert_dim": ("elements", ""),
    "model.moe.router_softcap": ("logits", "c in c tanh(logits / c), on the router"),
    "model.moe.shared_dim": ("elements", ""),
    "model.moe.every": ("layers", ""),
    "model.rope_scaling.factor": ("factor", "on the longest wavelengths"),
    "model.rope_scaling.low_freq_factor": ("factor", "below it frequencies are stretched in full"),
    "model.rope_scaling.high_freq_factor": ("factor", "above it frequencies stay"),
    "model.rope_scaling.original_max_seq_len": ("tokens", "before the stretch"),
    "layout.tp": ("ranks", "tensor parallelism, with sequence parallelism"),
    "layout.pp": ("ranks", "pipeline parallelism: stages"),
    "layout.vp": ("chunks", "of a stage (interleaved)"),
    "layout.cp": ("ranks", "context parallelism: parts of a sequence"),
    "layout.ep": ("ranks", "expert parallelism"),
    "layout.etp": ("ranks", "that share one expert"),
    "layout.dp_shard": ("ranks", "data parallelism that shards what `sharding` says"),
    "layout.dp_replicate": ("ranks", "data parallelism that replicates"),
    "layout.micro_batch_size": ("sequences", "at a time on a rank"),
    "layout.global_batch_size": ("sequences", "in a step; a multiple of micro_batch_size x data ranks"),
    "layout.seq_len": ("tokens", "in a sequence"),
    "layout.recompute": ("", "which activations are computed again in backward"),
    "layout.precision": ("", "of the products; weights are fp32"),
    "layout.schedule": ("", "order of the micro-batches in a pipeline"),
    "layout.sharding": ("", "what dp_shard spreads"),
    "optimizer.name": ("", "AdamW for everything, or Muon for the matrices"),
    "optimizer.lr": ("", "peak learning rate of AdamW"),
    "optimizer.muon_lr": ("", ""),
    "optimizer.embedding_lr_factor": ("factor", ""),
    "optimizer.beta1": ("", "decay of AdamW's first moment"),
    "optimizer.beta2": ("", "decay of AdamW's second moment"),
    "optimizer.eps": ("", "added to the root of the second moment"),
    "optimizer.weight_decay": ("", "times the learning rate, on matrices"),
    "optimizer.clip_norm": ("", "largest norm of the gradient"),
    "schedule.steps": ("steps", "of the whole run; a run of kind wsd can be made longer later (docs/training.md)"),
    "schedule.warmup_steps": ("steps", "of linear warm-up"),
    "schedule.kind": ("", "cosine, or a stable rate with a decay at the end"),
    "schedule.decay_fraction": ("share", ""),
    "schedule.final_fraction": ("share", ""),
    "loss.balance": ("factor", "on the loss that balances the experts"),
    "loss.router_z": ("factor", "on the loss that keeps the router's logits small"),
    "checkpoint.every": ("steps", "between two checkpoints; 0: only at the end"),
    "checkpoint.keep": ("checkpoints", "that stay; of kind wsd, the one before the decay as well"),
    "checkpoint.memory_every": (
        "steps",
        "between two copies in the memory of the nodes, each rank's on its own and on a neighbour's; 0: none",
    ),
    "evaluate.every": ("steps", "between two validations; 0: only at the end"),
    "evaluate.batches": ("batches", "scored on the way; at the end all are"),
    "evaluate.sample_prompt": ("", "what samples continue; empty: how the held-out text begins"),
    "evaluate.sample_tokens": ("tokens", "in a sample at every validation; 0: no samples"),
    "compute.device": ("", "auto takes CUDA where there is one"),
    "compute.threads": ("threads", "0: as many as the machine has free when the run begins; kept from then on"),
    "compute.compile": ("", "torch.compile; auto: where it works"),
    "compute.compare_replicas_every": (
        "steps",
        "and before each checkpoint: replicas compare the bits of weights and optimizer; one that differs ends the "
        "run; 0: never",
    ),
    "compute.replay_every": (
        "steps",
        "data-parallel ranks compute a gradient of their neighbour again before weights change, bit against bit; a "
        "step on which they disagree is not kept (docs/survival.md); 0: never",
    ),
    "compute.metrics_port": ("", "where rank 0 answers Prometheus, at 127.0.0.1 alone; 0: nowhere"),
    "compute.hang_seconds": (
        "s",
        "that a rank of several may be in one part of a step while no other goes on; 0: 30 times the longest step so "
        "far, between 60 and 540",
    ),
    "survival.replicas": (
        "",
        "those of `layout.dp_replicate` may leave and come back while the others go on; started by `kolossos launch`",
    ),
    "survival.silent_seconds": ("s", "a rank that says nothing for so long is lost, and its replica with it"),
    "survival.stuck_seconds": ("s", "so is one that stays in one part of a step for so long; 0: it may"),
}
"""Unit and meaning of keys whose field says nothing of them; a field's own description comes first."""

HEAD = """# The run file: every key

A run file is TOML. `--set KEY=VALUE` changes a single key, as in `--set optimizer.lr=0.001`. What a run was made from
is spelt out in its folder's `run.toml`. `[model]` may name an entry of the catalogue (`spec = "grok-nano"`, see
`kolossos models`) or a TOML file, and change single keys of it.

Tables marked *operational* may change when a run goes on; any other change is refused, but for two, which are recorded
under `[[changes]]` with the step from which they hold: `data.path`, when the same data lie elsewhere, and
`schedule.steps`, where no step that is done would have been another.

This page is made by `python benchmarks/run_file_page.py`.
"""


def page() -> str:
    """The whole page."""
    top = [(key, field) for key, field in RunSpec.model_fields.items() if _table(field) is None]
    parts = [HEAD, "## At the top\n\n" + _rows("", top)]
    for key, field in RunSpec.model_fields.items():
        if (table := _table(field)) is not None:
            parts += _sections(key, table)
    return "\n".join(parts)


def _sections(name: str, table: type[Spec]) -> list[str]:
    """A heading, what the table is for, and its keys; then the tables in it."""
    mark = " (*operational*)" if name in OPERATIONAL and name not in WRITTEN else ""
    text = " ".join((inspect.getdoc(table) or "").split())
    if name in WRITTEN:
        text += f" Written by commands: `[{name}]` is not for people to fill."
        return [f"## `[{name}]`\n\n{text}\n"]
    fields = table.model_fields.items()
    made = [f"## `[{name}]`{mark}\n\n{text}\n\n" + _rows(name, [(k, f) for k, f in fields if _table(f) is None])]
    for key, field in fields:
        if (inner := _table(field)) is not None:
            made += _sections(f"{name}.{key}", inner)
    return made


def _rows(table: str, fields: list[tuple[str, FieldInfo]]) -> str:
    lines = ["| key | values | unit | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for key, field in fields:
        unit, meaning = KEYS.get(f"{table}.{key}" if table else key, ("", ""))
        default = "required" if field.is_required() else _toml(field.default)
        cells = (f"`{key}`", _values(field), unit, default, field.description or meaning or "see above")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _table(field: FieldInfo) -> type[Spec] | None:
    """The spec of a key that is a table, or of those in a list of tables."""
    parts = [field.annotation, *get_args(field.annotation)]
    return next((part for part in parts if isinstance(part, type) and issubclass(part, Spec)), None)


def _values(field: FieldInfo) -> str:
    bounds = [_bound(bound) for bound in field.metadata]
    return " ".join([_type(field.annotation), *filter(None, bounds)])


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        base, *bounds = get_args(annotation)
        return " ".join([_type(base), *filter(None, map(_bound, bounds))])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice!r}`" for choice in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type(part) for part in get_args(annotation) if part is not type(None))
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(annotation, str(annotation))


def _bound(bound: Any) -> str:
    for kind, sign, value in ((Gt, ">", "gt"), (Ge, ">=", "ge"), (Le, "<=", "le")):
        if isinstance(bound, kind):
            return f"{sign} {getattr(bound, value):g}"
    return ""


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value!r}`"


def main() -> int:
    made = page()
    if "--check" in sys.argv:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == made
        print(f"{PAGE.name} agrees with the spec" if same else f"{PAGE.name} differs: run this without --check")
        return 0 if same else 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
