"""Layout: how a step is cut over ranks and micro-batches. The same words for planning and for training."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from kolossos.specs.strict import Spec

Precision = Literal["fp32", "bf16", "fp8", "mxfp8", "nvfp4", "auto"]
"""Of the products. auto: the machine that trains decides when a run begins; no plan can be made of it."""


PLACEMENT = ("tp", "pp", "vp", "cp", "ep", "etp", "dp_shard", "dp_replicate", "schedule", "sharding")
"""Keys that say where a step is computed, not what: a run may go on under others."""


class Layout(Spec):
    """Degrees of parallelism (in ranks), batch (in sequences) and sequence length (in tokens).

    ``vp`` chunks a stage (interleaved 1F1B, arXiv:2104.04473); tp includes sequence parallelism
    (arXiv:2205.05198); ``etp`` cuts one expert; ``sharding`` says what dp_shard spreads: optimizer = ZeRO-1,
    gradients = ZeRO-2, parameters = ZeRO-3 or FSDP (arXiv:1910.02054); dp_replicate > 1 makes it HSDP.
    """

    most = 10**9

    tp: PositiveInt = 1
    pp: PositiveInt = 1
    vp: PositiveInt = 1
    cp: PositiveInt = 1
    ep: PositiveInt = 1
    etp: PositiveInt = 1
    dp_shard: PositiveInt = 1
    dp_replicate: PositiveInt = 1
    micro_batch_size: PositiveInt = 8
    global_batch_size: PositiveInt = 8
    seq_len: PositiveInt = 256
    recompute: Literal["none", "selective", "full"] = "none"
    precision: Precision = Field(default="auto", description="of products; auto: what is faster on this machine")
    schedule: Literal["1f1b", "zero-bubble"] = "1f1b"
    sharding: Literal["none", "optimizer", "gradients", "parameters"] = "parameters"

    @model_validator(mode="after")
    def _check(self) -> Self:
        per_pass = self.micro_batch_size * self.data_parallel
        if self.global_batch_size % per_pass:
            raise ValueError(
                f"global_batch_size = {self.global_batch_size} is not a multiple of micro_batch_size x dp_shard x "
                f"dp_replicate = {per_pass}"
            )
        return self

    @property
    def data_parallel(self) -> int:
        """Number of ranks that see different sequences."""
        return self.dp_shard * self.dp_replicate

    @property
    def replicas(self) -> int:
        """Groups of ranks that each hold all weights and state."""
        return self.dp_replicate

    @property
    def shares_a_replica(self) -> int:
        """Number of ranks of one replica that see different sequences."""
        return self.dp_shard

    @property
    def world_size(self) -> int:
        """Number of ranks; expert parallelism re-uses those of the other axes."""
        return self.tp * self.pp * self.cp * self.data_parallel

    @property
    def sequences_per_pass(self) -> int:
        """Sequences that all ranks together work on at a time."""
        return self.micro_batch_size * self.data_parallel

    @property
    def accumulation_steps(self) -> int:
        """Micro-batches that each rank adds up before one optimizer step."""
        return self.global_batch_size // (self.micro_batch_size * self.data_parallel)
