"""ClusterSpec: pools of accelerators on one network, with what they draw and cost."""

from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from kolossos.specs.strict import Spec

REACHED = {"infiniband": 0.95, "efa": 0.95, "roce": 0.95, "ethernet": 0.6}
"""Of the line rate, by large transfers: InfiniBand 46 to 48 of 50 GB/s (NVIDIA/nccl-tests issue 290), RoCE whose
routing adapts 95 %, plain Ethernet 60 % (NVIDIA on Colossus), EFA 362 to 382 of 400 GB/s a node
(stas00/ml-engineering network/README.md @744d01e18b79)."""
COLLIDED = 0.7
"""Of that, where flows of a fat tree choose their links by hash: -30 % or worse (Meta, SIGCOMM 2024)."""
LATENCY_S = 10e-6
EFA_LATENCY_S = 60e-6
"""Of a hop: an all-reduce of 1 MiB over four nodes of a P6-B200 takes 0.38 ms, six hops (the same table)."""
BY_TIERS = {1: 7 / 30, 2: 15 / 30}
"""Latency within a rack and a zone over that within a building (NCCLX, arXiv:2510.20171)."""


class FabricSpec(Spec):
    """The network between NVLink domains.

    Up to ``pod_gpus`` GPUs talk at full bisection; above, the links are shared ``oversubscription`` times.
    ``efficiency`` is the share of the line rate that large transfers reach before protocol and collectives. What a file
    does not say of efficiency and latency follows from ``kind``, ``topology`` and ``tiers``.
    """

    most = 10**9

    kind: Literal["infiniband", "roce", "ethernet", "efa"] = "infiniband"
    topology: Literal["fat-tree", "rail"] = Field(
        default="fat-tree", description="rail: the GPUs of one place in their nodes share a switch"
    )
    nic_bytes_per_s: float = Field(default=50e9, ge=1e6, le=1e13, description="one way, per GPU: 400 Gb/s are 50e9")
    tiers: PositiveInt = Field(default=3, le=4, description="of switches: 1 a rack, 2 a zone, 3 a building")
    pod_gpus: PositiveInt | None = Field(default=None, description="None: the whole cluster is one pod")
    oversubscription: float = Field(default=1.0, ge=1.0, le=1000.0, description="of the links between pods")
    efficiency: float = Field(default=0.95, ge=0.001, le=1.0)
    latency_s: float = Field(default=10e-6, ge=1e-9, le=1.0, description="between two GPUs of different domains")

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        """Efficiency and latency as usual on such a fabric."""
        if not isinstance(values, dict):
            return values
        kind, tiers = values.get("kind", "infiniband"), values.get("tiers", 3)
        if not isinstance(kind, str) or kind not in REACHED or not isinstance(tiers, int):
            return values
        hashed = kind == "roce" and values.get("topology", "fat-tree") == "fat-tree"
        latency = EFA_LATENCY_S if kind == "efa" else LATENCY_S
        usual = {"efficiency": REACHED[kind] * (COLLIDED if hashed else 1.0)}
        return usual | {"latency_s": latency * BY_TIERS.get(tiers, 1.0)} | values


FASTEST_NIC = 250e9
"""Bytes a second of a GPU's NICs; the fastest sold carry 100e9 (800 Gb/s)."""


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

    @model_validator(mode="before")
    @classmethod
    def _of_a_node(cls, values: Any) -> Any:
        """``node_gbit_per_s``: what the NICs of a whole node carry one way, as switches and clouds print it."""
        fabric = values.get("fabric") if isinstance(values, dict) else None
        if not isinstance(fabric, dict) or "node_gbit_per_s" not in fabric:
            return values
        if "nic_bytes_per_s" in fabric:
            raise ValueError("fabric: nic_bytes_per_s (a GPU) and node_gbit_per_s (a node): give one of the two")
        rate, pools = fabric["node_gbit_per_s"], values.get("pools")
        first = pools[0] if isinstance(pools, list) and pools and isinstance(pools[0], dict) else {}
        node = first.get("gpus_per_node", 8)
        if not all(isinstance(n, int | float) and not isinstance(n, bool) and n > 0 for n in (rate, node)):
            raise ValueError("fabric.node_gbit_per_s: expected a number above 0")
        rest = {key: value for key, value in fabric.items() if key != "node_gbit_per_s"}
        return values | {"fabric": rest | {"nic_bytes_per_s": rate * 1e9 / 8 / node}}

    @model_validator(mode="after")
    def _check_links(self) -> Self:
        rate = self.fabric.nic_bytes_per_s
        if self.n_gpus > max(pool.nvlink_domain for pool in self.pools) and rate > FASTEST_NIC:
            raise ValueError(
                f"fabric.nic_bytes_per_s = {rate:g} is {rate * 8e-9:,.0f} Gb/s for each GPU, and no NIC is so fast; "
                f"it is in bytes: {rate:g} bits a second are {rate / 8:g}"
            )
        return self

    @property
    def n_gpus(self) -> int:
        """GPUs of all pools."""
        return sum(pool.count for pool in self.pools)
