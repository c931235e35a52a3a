"""Seconds of the whole job by bucket."""

from typing import Any

import pytest

from kolossos.simulate.engine.play import Played


@pytest.fixture
def hours() -> Any:
    """GPU-seconds of a played run per GPU of its job, by bucket: seconds of the whole job."""

    def of(played: Played, gpus: int = 80) -> dict[str, float]:
        return {name: float(v[0]) / gpus for name, v in played.accounts.gpu_s.items() if v[0] > 1e-9}

    return of
