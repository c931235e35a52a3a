"""A job: how ranks are shared out over nodes, and under which name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.launch.job import job_of


@pytest.mark.parametrize(
    ("ranks", "per_node", "nodes"), [(8, None, 1), (8, 8, 1), (8, 4, 2), (4, 8, 1), (100_000, 8, 12_500)]
)
def test_ranks_are_shared_out_over_equal_nodes(ranks: int, per_node: int | None, nodes: int) -> None:
    job = job_of("grok", ["run.toml"], ranks, per_node=per_node)
    assert (job.nodes, job.ranks) == (nodes, ranks)


def test_ranks_that_nodes_do_not_hold_equally_are_refused_with_what_would_do() -> None:
    with pytest.raises(InputError, match=r"12 ranks, which nodes of 8 .* 4 a node would do"):
        job_of("grok", [], 12, per_node=8)


@given(st.text(max_size=80))
def test_any_name_becomes_one_that_clusters_take(name: str) -> None:
    made = job_of(name, [], 1).name
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", made)
