"""ClusterSpec: pools of accelerators on one network, with what they draw and cost."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from kolossos.specs.strict import Spec


class FabricSpec(Spec):
    """The network between NVLink domains.

    Up to ``pod_gpus`` GPUs talk at full bisection; above, the links are shared ``oversubscription`` times.
    ``efficiency`` is the share of the line rate that large transfers reach before protocol and collectives.
    """

    most = 10**9

    kind: Literal["infiniband", "roce", "ethernet"] = "infiniband"
    topology: Literal["fat-tree", "rail"] = "fat-tree"
    nic_bytes_per_s: float = Field(default=50e9, ge=1e6, le=1e13, description="one way, per GPU")
    tiers: PositiveInt = 3
    pod_gpus: PositiveInt | None = Field(default=None, description="None: the whole cluster is one pod")
    oversubscription: float = Field(default=1.0, ge=1.0, le=1000.0)
    efficiency: float = Field(default=0.95, ge=0.001, le=1.0)
    latency_s: float = Field(default=10e-6, ge=1e-9, le=1.0, description="between two GPUs of different domains")


class PoolSpec(Spec):
    """``count`` GPUs of one kind."""

    gpu: str = Field(description="a name of the GPU catalogue")
    count: PositiveInt
    gpus_per_node: PositiveInt = 8
    nvlink_domain: PositiveInt = Field(default=8, description="GPUs that NVLink joins (72 in an NVL72 rack)")
    usd_per_gpu_hour: float | None = Field(
        default=None, gt=0.0, le=1e5, description="None: the price of the GPU's file"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.count % self.gpus_per_node:
            raise ValueError(f"count = {self.count} is not a multiple of gpus_per_node = {self.gpus_per_node}")
        domain, node = self.nvlink_domain, self.gpus_per_node
        if node % domain and domain % node:
            raise ValueError(f"nvlink_domain = {domain} is neither a part nor a multiple of gpus_per_node = {node}")
        return self


class PowerSpec(Spec):
    """What a site draws beyond its GPUs, and what energy costs there."""

    host_watts_per_gpu: float = Field(
        default=200.0, gt=0.0, le=1e5, description="CPUs, memory, NICs and fans of the node, and the fabric, per GPU"
    )
    pue: float = Field(default=1.3, ge=1.0, le=10.0, description="facility power over the power of the machines")
    site_limit_watts: PositiveFloat | None = None
    usd_per_kwh: float = Field(default=0.0674, gt=0.0, le=1000.0)
    gco2_per_kwh: float = Field(default=400.0, gt=0.0, le=1e5)


class ClusterSpec(Spec):
    """Pools on one fabric. With several pools the cluster mixes kinds of GPU."""

    most = 10**9

    name: str
    source: str = ""
    pools: list[PoolSpec] = Field(min_length=1, max_length=64)
    fabric: FabricSpec = FabricSpec()
    power: PowerSpec = PowerSpec()

    @property
    def n_gpus(self) -> int:
        """GPUs of all pools."""
        return sum(pool.count for pool in self.pools)
