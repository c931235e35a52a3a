"""Who computes whose gradient again: ranks that hold the same weights and have other sequences. No torch."""

from collections.abc import Hashable
from dataclasses import dataclass

from kolossos.errors import InputError
from kolossos.parallel.coordinates import coordinates_of, data_rank
from kolossos.parallel.shares import share_of_batch
from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class Partners:
    """Those of ``rank``: a ring over the data-parallel ranks with its part of the model.

    With experts spread over ranks (ep) the rows that an expert gets lie in the order of the ranks they come from, so
    there all ranks of a replica turn together, and partners are those in other replicas.
    """

    layout: Layout
    rank: int

    @property
    def count(self) -> int:
        """Ranks in the ring."""
        return self.layout.dp_replicate if self.layout.ep > 1 else self.layout.data_parallel

    def data_rank(self, places: int) -> int:
        """Which share of a batch the partner ``places`` on has."""
        layout, mine = self.layout, data_rank(self.layout, coordinates_of(self.layout, self.rank))
        if layout.ep == 1:
            return (mine + places) % layout.data_parallel
        replica, place = divmod(mine, layout.dp_shard)
        return (replica + places) % layout.dp_replicate * layout.dp_shard + place

    def share(self, places: int) -> list[range]:
        """The sequences of that partner, a range a micro-batch."""
        return share_of_batch(self.layout, self.data_rank(places))

    def whose(self, places: int) -> Hashable:
        """Names what is computed: the same for all that compute it."""
        place = coordinates_of(self.layout, self.rank)
        return place["pp"], place["cp"], place["tp"], self.data_rank(places)


def require_partners(layout: Layout) -> None:
    """InputError if no rank could compute another one's gradient."""
    if Partners(layout, 0).count < 2:
        keys = "dp_replicate (ep cuts dp_shard)" if layout.ep > 1 else "dp_shard or dp_replicate"
        raise InputError(
            f"compute.replay_every: no rank could compute what another one does; set layout.{keys} to 2 or more, or "
            f"replay_every to 0"
        )
