"""RunSpec: everything that decides what a training run computes, in one TOML file.

Two runs with equal `model`, `data`, `layout`, `optimizer`, `schedule`, `loss` and `seed` compute the same bits on the
same machine; the other tables only decide what is written down, how often, and with which threads, and `promise` keeps
what a plan said before. A spec is read once; what changes on its way are copies made by its methods.
"""

from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from kolossos.errors import InputError
from kolossos.specs.catalogue import load_model
from kolossos.specs.layout import PLACEMENT, Layout
from kolossos.specs.model import ModelSpec
from kolossos.specs.overrides import apply_overrides
from kolossos.specs.promise import PromiseSpec
from kolossos.specs.strict import Spec, read_toml

Fraction = NonNegativeFloat


class DataSpec(Spec):
    """Where the prepared tokens lie, and whether documents attend across their borders."""

    path: str = Field(description="the folder that `kolossos data prepare` made, or a URL that fsspec opens")
    mask_documents: bool = Field(default=True, description="no token attends across the border of its document")
    sha256: str | None = Field(
        default=None, description="of the data's files; written when a run begins, other data are refused from then on"
    )


class OptimizerSpec(Spec):
    """AdamW for everything, or Muon for the matrices and AdamW for the rest. Learning rates are the peak ones."""

    name: Literal["adamw", "muon"] = "adamw"
    lr: PositiveFloat = 3e-4
    muon_lr: PositiveFloat = Field(default=0.02, description="for matrices, if name = 'muon'")
    embedding_lr_factor: PositiveFloat = Field(default=1.0, description="times lr, for embedding and output matrices")
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    momentum: Fraction = Field(default=0.95, description="Muon's")
    clip_norm: PositiveFloat = 1.0
    skip_spikes: NonNegativeFloat = Field(
        default=0.0,
        description="skip a step whose loss or gradient norm is so many deviations above the last 128; 0: none",
    )
    bad_steps: Literal["skip", "roll-back", "stop"] = Field(
        default="skip", description="what to do about such a step, and about a loss or gradient that is not finite"
    )
    back_steps: NonNegativeInt = Field(
        default=0, description="roll back to the newest due checkpoint at least so many steps before the bad one"
    )
    skip_batches: NonNegativeInt = Field(
        default=0, description="leave out so many batches behind the bad one, too, when rolling back"
    )
    rollbacks: PositiveInt = Field(default=5, description="of one run, at most; one more ends it with an error")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("beta1", "beta2", "momentum"):
            if getattr(self, key) >= 1.0:
                raise ValueError(f"{key} = {getattr(self, key)} must be below 1")
        return self


class ScheduleSpec(Spec):
    """Linear warm-up, then a cosine, or (wsd, arXiv:2404.06395) a stable rate and a linear decay at the end."""

    steps: PositiveInt
    warmup_steps: NonNegativeInt = 0
    kind: Literal["cosine", "wsd"] = "cosine"
    decay_fraction: Fraction = Field(default=0.2, le=1.0, description="share of the steps that decay, for wsd")
    final_fraction: Fraction = Field(
        default=0.0, le=1.0, description="learning rate at the end, as a share of the peak"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} exceeds steps = {self.steps}")
        return self


class LossSpec(Spec):
    """Factors on the router's two auxiliary losses."""

    balance: NonNegativeFloat = 0.01
    router_z: NonNegativeFloat = 0.001


class CheckpointSpec(Spec):
    """How often to save (0: only at the end) and how many checkpoints to keep."""

    every: NonNegativeInt = 200
    keep: PositiveInt = 2
    memory_every: NonNegativeInt = 0


class EvaluateSpec(Spec):
    """Validation during the run: every so many steps (0: only at the end), on at most so many batches."""

    every: NonNegativeInt = 0
    batches: PositiveInt = 16
    sample_prompt: str = ""
    sample_tokens: NonNegativeInt = 0


class ComputeSpec(Spec):
    """How the machine is used. ``threads`` = 0 takes torch's choice; ``compile`` = auto compiles where that works."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: NonNegativeInt = 0
    compile: Literal["auto", "on", "off"] = "auto"
    hang_seconds: NonNegativeFloat = 0.0
    compare_replicas_every: NonNegativeInt = 0
    replay_every: NonNegativeInt = 0
    metrics_port: int = Field(default=0, ge=0, le=65535)


class SurvivalSpec(Spec):
    """Replicas (layout.dp_replicate) that may leave and come back while the others go on (docs/survival.md).

    ``silent_seconds``: a rank that says nothing for so long is lost; ``stuck_seconds``: so is one that stays in one
    part of a step for so long (0: it may).
    """

    replicas: bool = False
    silent_seconds: PositiveFloat = 10.0
    stuck_seconds: NonNegativeFloat = 0.0


class Change(Spec):
    """What of a run was changed on its way: from ``step`` on the key had another value. Written, never set."""

    step: NonNegativeInt
    key: str
    before: bool | int | float | str
    after: bool | int | float | str


class InitSpec(Spec):
    """Weights to begin with: a run folder, or one in the Hugging Face layout. In a run file, the path alone will do."""

    path: str
    sha256: str | None = Field(default=None, description="of the weights; written when a run begins")


class RunSpec(Spec):
    """One training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: NonNegativeInt = 1
    model: ModelSpec
    data: DataSpec
    layout: Layout = Layout()
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec
    loss: LossSpec = LossSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    evaluate: EvaluateSpec = EvaluateSpec()
    compute: ComputeSpec = ComputeSpec()
    survival: SurvivalSpec = SurvivalSpec()
    promise: PromiseSpec | None = None
    changes: list[Change] = Field(default_factory=list)
    init: InitSpec | None = None

    @field_validator("init", mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.layout.seq_len > self.model.max_seq_len:
            raise ValueError(
                f"layout.seq_len = {self.layout.seq_len} exceeds the model's max_seq_len = {self.model.max_seq_len}"
            )
        return self

    def to_toml(self) -> str:
        """The resolved run file: every value spelt out."""
        return tomli_w.dumps(self.model_dump(exclude_none=True, exclude=None if self.changes else {"changes"}))

    def with_threads(self, threads: int) -> Self:
        """The same run with so many CPU threads (0: torch's choice)."""
        return self.model_copy(update={"compute": _changed(self.compute, threads=threads)})

    def with_precision(self, precision: str) -> Self:
        """The same run with products in ``precision``."""
        return self.model_copy(update={"layout": _changed(self.layout, precision=precision)})

    def of_one_replica(self) -> Self:
        """What the ranks of one replica compute by themselves: the same run with dp_replicate = 1.

        Its global batch stays that of all replicas; which sequences of it are whose is for them to agree on.
        """
        return self.model_copy(update={"layout": _changed(self.layout, dp_replicate=1)})

    def with_steps(self, steps: int) -> Self:
        """The same run with so many steps; warm-up keeps its share of them, and one step at least if it has any."""
        before = self.schedule
        warmup = max(1, round(before.warmup_steps * steps / before.steps)) if before.warmup_steps else 0
        return self.model_copy(update={"schedule": _changed(before, steps=steps, warmup_steps=warmup)})

    def fitted(self, steps: int) -> Self:
        """The same run with so many steps, chosen by time: a shorter one is scored and saved as many times."""
        share = min(1.0, steps / self.schedule.steps)
        tables = {
            name: _changed(table, every=max(1, round(table.every * share)) if table.every else 0)
            for name, table in (("evaluate", self.evaluate), ("checkpoint", self.checkpoint))
        }
        return self.with_steps(steps).model_copy(update=tables)

    def with_data(self, sha256: str, path: str | None = None) -> Self:
        """The same run on the data with this hash, at ``path`` if it is another place."""
        return self.model_copy(update={"data": _changed(self.data, sha256=sha256, path=path or self.data.path)})

    def with_changes(self, changes: list[Change]) -> Self:
        """The same run with this history."""
        return self.model_copy(update={"changes": changes})

    def with_init_sha256(self, sha256: str | None) -> Self:
        """The same run, its first weights known by their hash."""
        return self if self.init is None else self.model_copy(update={"init": _changed(self.init, sha256=sha256)})

    def with_overrides(self, overrides: list[str], where: str) -> Self:
        """The same run with single values changed; InputError, naming ``where``, if the outcome is no run."""
        if not overrides:
            return self
        values = self.model_dump(exclude_none=True)
        apply_overrides(values, overrides)
        return self.parse(_resolved(values, Path(where)), where)

    def without_promise(self) -> Self:
        """The run alone, without what a plan said of it."""
        return self.model_copy(update={"promise": None})


OPERATIONAL = ("checkpoint", "evaluate", "compute", "survival", "promise", "changes")
"""Tables that may change between two parts of one run."""

RECORDED = ("data.path", "schedule.steps")
"""Keys that may change under conditions, and whose changes are written down."""


def load_run(path: Path, overrides: list[str] | None = None) -> RunSpec:
    """Read a run file; ``overrides`` are "key=value" with dotted keys and TOML values.

    ``[model]`` names a catalogue entry or a TOML file in ``spec``; other keys there replace single values of it.
    Raises InputError for anything unreadable, unknown or impossible.
    """
    values = read_toml(path)
    apply_overrides(values, overrides or [])
    return RunSpec.parse(_resolved(values, path), str(path))


def changed_keys(before: RunSpec, after: RunSpec) -> list[tuple[str, Any, Any]]:
    """The keys that decide what is computed and differ, with both values.

    More ranks with smaller micro-batches compute the same if a pass of all ranks has as many sequences.
    """
    old, new = (_flat(spec.model_dump(exclude=set(OPERATIONAL))) for spec in (before, after))
    for values, spec in ((old, before), (new, after)):
        for key in PLACEMENT:
            del values[f"layout.{key}"]
        if before.layout.data_parallel != after.layout.data_parallel:
            del values["layout.micro_batch_size"]
            values["layout.micro_batch_size x dp_shard x dp_replicate"] = spec.layout.sequences_per_pass
    return [(key, old.get(key), new.get(key)) for key in sorted(old | new) if old.get(key) != new.get(key)]


def _resolved(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """``values`` with the model spelt out where it names one."""
    table = values.get("model")
    if isinstance(table, dict) and "spec" in table:
        return {**values, "model": _merge_model(table, path)}
    if isinstance(table, str):
        raise InputError(f"{path}: model = {table!r}: expected a table; write model.spec = {table!r}")
    return values


def _changed(table: Spec, **changes: Any) -> Spec:
    """A checked copy of a table."""
    return type(table).model_validate({**table.model_dump(), **changes})


def _merge_model(table: dict[str, Any], path: Path) -> dict[str, Any]:
    name = table["spec"]
    if not isinstance(name, str):
        raise InputError(f"{path}: key 'model.spec' = {name!r}: expected the name of a model")
    relative = path.parent / name
    base = load_model(str(relative) if name.endswith(".toml") and relative.is_file() else name).model_dump()
    changes = {key: value for key, value in table.items() if key != "spec"}
    if isinstance(changes.get("moe"), dict):
        changes["moe"] = {**(base["moe"] or {}), **changes["moe"]}
    return {**base, **changes}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
