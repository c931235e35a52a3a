"""What is refused before anything is built."""

import pytest

from kolossos.errors import InputError
from kolossos.parallel.mesh import build_mesh
from kolossos.specs.layout import Layout


def test_a_layout_of_other_than_the_processes_there_is_refused_by_its_degrees() -> None:
    assert build_mesh(Layout(), "cpu") is None
    with pytest.raises(InputError, match=r"needs 6 ranks and this is one process.*pp = 2, dp_shard = 3"):
        build_mesh(Layout(pp=2, dp_shard=3, micro_batch_size=1, global_batch_size=3), "cpu")
