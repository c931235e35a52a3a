"""Ranks that stay up for all tests of this folder: one pool of processes a size of the world."""

from collections.abc import Callable, Iterator

import pytest
from rank_pool import RankPool


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], RankPool]]:
    """A pool of so many ranks; made when it is first asked for, and anew if a case broke it."""
    pools: dict[int, RankPool] = {}

    def pool(n_ranks: int) -> RankPool:
        if n_ranks in pools and pools[n_ranks].broken:
            pools.pop(n_ranks).close()
        if n_ranks not in pools:
            pools[n_ranks] = RankPool(n_ranks, tmp_path_factory.mktemp(f"ranks-{n_ranks}-"))
        return pools[n_ranks]

    yield pool
    for made in pools.values():
        made.close()
