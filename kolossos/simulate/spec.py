"""OperationSpec: everything that decides what months of a run deliver, as one tree of plain values.

The same tree comes from a TOML or JSON file, from single keys set by hand, or from a model and a cluster of the
catalogue (``kolossos.simulate.build``). Names in it (failure table, kinds of GPU, policy) are looked up once, by
``kolossos.simulate.scenario``. Seconds, bytes and watts are the units; days where a key says so.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from kolossos.simulate.failures import FailureSpec
from kolossos.specs.strict import Spec

DAY_S = 86_400.0


class LotSpec(Spec):
    """GPUs that come later: delivered on ``day``, in the job from ``join_day`` (default: at once)."""

    gpus: PositiveInt
    gpu: str = "h100"
    day: NonNegativeFloat
    join_day: NonNegativeFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.join_day is not None and self.join_day < self.day:
            raise ValueError(f"join_day = {self.join_day:g} is before the delivery on day {self.day:g}")
        return self

    @property
    def joins(self) -> float:
        """The day from which the job uses this lot."""
        return self.day if self.join_day is None else self.join_day


class FleetSpec(Spec):
    """The GPUs: those there at the start, and the lots that follow."""

    gpus: PositiveInt = 16_384
    gpu: str = "h100"
    gpus_per_node: PositiveInt = 8
    nodes_per_rack: PositiveInt = 8
    age_days: NonNegativeFloat = Field(default=0.0, description="age of the first GPUs on day 0")
    growth: list[LotSpec] = Field(default=[])

    @model_validator(mode="after")
    def _check(self) -> Self:
        for count in (self.gpus, *(lot.gpus for lot in self.growth)):
            if count % self.gpus_per_node:
                raise ValueError(f"{count} GPUs are not whole nodes of gpus_per_node = {self.gpus_per_node}")
        return self


class StepDrawSpec(Spec):
    """What decides the draw of a fleet inside a step."""

    busy_share: float = Field(ge=0.0, le=1.0, description="of the step, in which a GPU of the layout computes")
    used_share: float = Field(default=1.0, gt=0.0, le=1.0, description="of the GPUs, in the layout; the others idle")


class StepSpec(Spec):
    """One optimizer step, taken as given. The tokens of a step stay the same when the fleet grows."""

    time_s: PositiveFloat = 10.0
    time_low_s: PositiveFloat | None = Field(default=None, description="5 % bound of time_s, where a planner gave one")
    time_high_s: PositiveFloat | None = None
    tokens: PositiveFloat = 16_777_216.0
    for_gpus: PositiveInt | None = Field(default=None, description="GPUs that time_s is for; None: the first job's")
    times_after_growth_s: list[PositiveFloat] | None = Field(
        default=None, description="step time of the whole fleet after each growth; None: inverse to its peak FLOP/s"
    )
    draws: list[StepDrawSpec] | None = Field(
        default=None, description="at the start and after each growth, as a planner promised; None: a mean draw"
    )
    source: str = ""


class SavingSpec(Spec):
    """Checkpoints: how large, how often, and how long they block the job and run beside it."""

    bytes: PositiveFloat = 5.67e12
    interval_s: Annotated[float, Field(ge=1.0, le=1e8)] | Literal["auto"] = "auto"
    mode: Literal["async", "sync"] = "async"
    store_bytes_per_s: PositiveFloat = Field(default=2e12, description="Llama 3: 2 TB/s sustained, arXiv:2407.21783")
    blocking_s: NonNegativeFloat | None = Field(
        default=None, description="None: sync = bytes / bandwidth; async = 1 s, an estimate (MegaScale: several s)"
    )
    background_s: NonNegativeFloat | None = Field(default=None, description="None: async = bytes / bandwidth")
    peer_interval_s: PositiveFloat | None = Field(
        default=None, description="copy to peers' memory; None: as often as costs 0.9 %"
    )
    peer_blocking_s: NonNegativeFloat = Field(default=0.03, description="ByteRobust: 0.01 to 0.04 s, arXiv:2509.16293")

    @property
    def peer_interval(self) -> float:
        """Seconds between copies to peers' memory; by default as many as cost ByteRobust's 0.9 % (arXiv:2509.16293)."""
        return self.peer_blocking_s / 0.009 if self.peer_interval_s is None else self.peer_interval_s

    @property
    def blocking(self) -> float:
        """Seconds for which one checkpoint stops the job."""
        if self.blocking_s is not None:
            return self.blocking_s
        return self.bytes / self.store_bytes_per_s if self.mode == "sync" else 1.0

    @property
    def background(self) -> float:
        """Seconds after the blocking part until the checkpoint can be used; a failure before loses it."""
        if self.background_s is not None:
            return self.background_s
        return 0.0 if self.mode == "sync" else self.bytes / self.store_bytes_per_s


class RecoverySpec(Spec):
    """What happens after a failure, with which spares."""

    policy: str = Field(default="store", description="a file of kolossos/simulate/policies")
    spare_nodes: NonNegativeInt | None = Field(
        default=None, description="hot spares, taken out of the fleet; None: as many as needed, from outside of it"
    )
    detect_s: NonNegativeFloat | None = Field(default=None, description="overrides what the failure table says")
    repair_s: NonNegativeFloat | None = Field(default=None, description="overrides what the failure table says")
    person_s: NonNegativeFloat = Field(
        default=4080.0, description="until a person has acted (68 min by the restart path, Unicron, arXiv:2401.00134)"
    )
    by_hand_share: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="least share of a table's stops that wait for a person; None: 0.173 for jobs below 8,192 GPUs "
        "under the store policy, else the table's",
    )
    restart_s: NonNegativeFloat | None = Field(
        default=None, description="whole job, cold; None: by size, from published start-ups (docs/simulate.md)"
    )
    restart_cv: NonNegativeFloat = Field(default=0.0, description="standard deviation over mean of every restart")
    load_s: NonNegativeFloat | None = Field(default=None, description="reading the checkpoint; None: bytes/bandwidth")
    in_process_s: NonNegativeFloat = Field(default=30.0, description="restart inside living processes (estimate)")
    peer_load_s: NonNegativeFloat = Field(default=10.0, description="state from peers' memory (estimate)")
    reconfigure_s: NonNegativeFloat | None = Field(default=None, description="growth; None: a cold restart and load")
    replicas: PositiveInt = Field(default=16, description="data-parallel replicas that can be lost one by one")
    min_replicas: PositiveInt = Field(default=1, description="below this many the job waits")
    stall_s: NonNegativeFloat = Field(
        default=125.0, description="all replicas wait: 60 s time-out, 20 s step, 45 s power ramp (FT-HSDP)"
    )
    replica_restart_s: NonNegativeFloat = Field(default=200.0, description="one replica, cold (FT-HSDP, 16K GPUs)")
    rejoin_stall_s: NonNegativeFloat = Field(default=0.0, description="all replicas wait when one comes back")
    batch: Literal["shrinks", "kept"] = Field(
        default="shrinks",
        description="while replicas are out: a smaller batch; or the whole one, each absent share computed by a member",
    )
    standby_share: float = Field(
        default=1 / 10.87, gt=0.0, le=1.0, description="of a cold start, with warm standby machines (ByteRobust)"
    )

    @property
    def own_spares(self) -> int:
        """Spare nodes that the fleet itself sets aside."""
        return self.spare_nodes or 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_replicas > self.replicas:
            raise ValueError(f"min_replicas = {self.min_replicas} exceeds replicas = {self.replicas}")
        return self


class SlowKind(Spec):
    """One kind of fail-slow: how often, how much slower the whole job runs, for how long."""

    name: str
    per_1000_node_days: NonNegativeFloat
    slowdown: float = Field(ge=1.0, description="step time over the normal one")
    duration_s: PositiveFloat
    duration_cv: NonNegativeFloat = 1.0


# MegaScale (arXiv:2402.15627): slow machines are about 10 % slower. Rates and durations are ESTIMATES inside Falcon's
# range (tens of seconds to 10 h, arXiv:2410.12588).
SLOW_KINDS = [
    SlowKind(name="slow node", per_1000_node_days=0.2, slowdown=1.10, duration_s=3600.0, duration_cv=2.0),
    SlowKind(name="slow link", per_1000_node_days=0.2, slowdown=1.05, duration_s=1800.0, duration_cv=2.0),
]


class StragglerSpec(Spec):
    """Slow nodes and links. The worst one that is active sets the pace of a synchronous job."""

    kinds: list[SlowKind] = Field(default=SLOW_KINDS)
    always: float = Field(default=1.0, ge=1.0, description="slowdown at all times, if the step time has none in it")


class MaintenanceSpec(Spec):
    """Planned windows; the job saves just before and loses nothing."""

    every_days: PositiveFloat | None = None
    duration_s: NonNegativeFloat = 4 * 3600.0


class PowerDrawSpec(Spec):
    """What the site draws. Watts per GPU unless said otherwise."""

    gpu_watts: PositiveFloat | None = Field(
        default=None, description="mean over a step; None: each kind of GPU its own, by kolossos.specs.draw"
    )
    gpu_idle_watts: PositiveFloat | None = Field(default=None, description="None: what each kind's file says")
    host_watts: PositiveFloat = Field(default=200.0, description="node beyond GPUs, and fabric, per GPU")
    cooling: Literal["liquid", "air"] = Field(default="liquid", description="air: the node's own fans draw more")
    pue: float = Field(default=1.3, ge=1.0)
    site_limit_watts: PositiveFloat | None = None
    enforce_limit: bool = Field(default=False, description="slow the job to the limit (linear in dynamic power)")
    ramp_s: NonNegativeFloat = Field(default=45.0, description="grid ramp after a full stop (FT-HSDP power smoother)")
    usd_per_kwh: NonNegativeFloat = 0.0674
    gco2_per_kwh: NonNegativeFloat = 400.0

    @property
    def fans(self) -> float:
        """Draw of a node over that of a liquid-cooled one: 8.48 kW (8 x H100 by air, training maximum, Latif et al.,
        arXiv:2412.08602) over 7.38 kW (immersed, maximum, MLPerf training_results_v4.0 @6fe954378efe)."""
        return 8.48 / 7.38 if self.cooling == "air" else 1.0


class PriceSpec(Spec):
    """Rent per GPU-hour of each kind; ``None``: the price in the GPU's file."""

    usd_per_gpu_hour: NonNegativeFloat | None = None
    energy_included: bool = True


MOST_DAYS_PLAYED = 3e6
"""Of all replicates together: what a computer holds at once."""


class OperationSpec(Spec):
    """One run over months: what is simulated, optimised and compared with published operations."""

    name: str = "operation"
    model: str | None = Field(default=None, description="what is trained; a name of the catalogue, or a file")
    cluster: str | None = Field(default=None, description="where; a name of the catalogue, or a file")
    days: float = Field(default=30.0, gt=0.0, le=36_525.0)
    tokens: float | None = Field(
        default=None, gt=0.0, le=1e18, description="tokens to reach, for the days that it takes"
    )
    replicates: int = Field(default=200, gt=0, le=10_000)
    seed: NonNegativeInt = 0
    fleet: FleetSpec = FleetSpec()
    step: StepSpec = StepSpec()
    checkpoint: SavingSpec = SavingSpec()
    failures: FailureSpec = FailureSpec()
    recovery: RecoverySpec = RecoverySpec()
    stragglers: StragglerSpec = StragglerSpec()
    maintenance: MaintenanceSpec = MaintenanceSpec()
    power: PowerDrawSpec = PowerDrawSpec()
    price: PriceSpec = PriceSpec()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.replicates * self.days > MOST_DAYS_PLAYED:
            most = int(MOST_DAYS_PLAYED / self.days)
            raise ValueError(f"replicates = {self.replicates:,} of {self.days:g} days: expected at most {most:,}")
        for lot in self.fleet.growth:
            if lot.joins >= self.days:
                raise ValueError(f"growth on day {lot.joins:g}, but the run ends after {self.days:g} days")
        spare_gpus = self.recovery.own_spares * self.fleet.gpus_per_node
        first = self.fleet.gpus + sum(lot.gpus for lot in self.fleet.growth if lot.joins == 0)
        if spare_gpus >= first:
            raise ValueError(
                f"recovery.spare_nodes = {self.recovery.spare_nodes} ({spare_gpus:,} GPUs) leaves no GPU of "
                f"{first:,} to train"
            )
        joins = {lot.joins for lot in self.fleet.growth if lot.joins > 0}
        for key, wanted in (("times_after_growth_s", len(joins)), ("draws", len(joins) + 1)):
            values = getattr(self.step, key)
            if values is not None and len(values) != wanted:
                raise ValueError(f"step.{key} has {len(values)} values, the fleet grows {len(joins)} times")
        return self
