"""A layout as a person writes it, ``tp=8,pp=4,...``."""

from kolossos.errors import InputError
from kolossos.plan.job import Job
from kolossos.specs.layout import Layout
from kolossos.specs.overrides import apply_overrides


def read_layout(text: str, job: Job) -> Layout:
    """``tp=8,pp=4,...``: what is not said is one, or the job's; dp_shard takes the GPUs that are left."""
    said: dict[str, object] = {}
    parts = [part for part in text.replace(" ", "").split(",") if part]
    apply_overrides(said, parts, what="layout", example="tp=8")
    values = {"micro_batch_size": 1, "seq_len": job.seq_len, "sharding": "optimizer", "precision": job.precisions[0]}
    values |= said
    for word, meant in MEANT.items():
        if word in said or word.upper() in said:
            raise InputError(f"layout {text[:120]}: unknown key '{word}': write {meant}")
    where = f"layout {text if len(text) <= 120 else text[:117] + '...'}"
    Layout.parse({**values, "global_batch_size": _product(values, *BATCH, where=where)}, where)
    if "dp_shard" not in said:
        values["dp_shard"] = max(job.n_gpus // _product(values, "tp", "pp", "cp", "dp_replicate", where=where), 1)
    if "global_batch_size" not in said:
        unit = _product(values, *BATCH, where=where)
        if values.get("vp", 1) != 1:
            unit *= _product(values, "pp", where=where)
        values["global_batch_size"] = max(round(job.batch / unit), 1) * unit
    return Layout.parse(values, where)


MEANT = {
    "dp": "dp_shard (and dp_replicate)", "mbs": "micro_batch_size", "gbs": "global_batch_size",
    "sp": "nothing: tp has it",
    "fsdp": "sharding=parameters", "zero": "sharding=optimizer (1), gradients (2) or parameters (3)", "ac": "recompute",
    "zero1": "sharding=optimizer", "zero2": "sharding=gradients", "zero3": "sharding=parameters", "seq": "seq_len",
    "hsdp": "dp_replicate", "ddp": "sharding=none", "vpp": "vp", "dtype": "precision",
}  # fmt: skip
"""Words of other software for what is called otherwise here."""
BATCH = ("micro_batch_size", "dp_shard", "dp_replicate")


def _product(values: dict, *names: str, where: str) -> int:
    """Of sizes that must be whole numbers above 0."""
    product = 1
    for name in names:
        size = values.get(name, 1)
        if not isinstance(size, int) or size < 1:
            raise InputError(f"{where}: key '{name}' = {size!r}: expected a whole number of at least 1")
        product *= size
    return product
