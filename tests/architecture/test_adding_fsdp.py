"""An axis of parallelism is known in its own file of parallel/, and outside of it hardly anywhere."""

import re
from pathlib import Path

import kolossos

PACKAGE = Path(kolossos.__file__).parent
PREDICTION = ("plan", "simulate", "specs")  # these know the word for what it costs
NAMES = re.compile(r"fully_shard|fsdp|dp_shard|dp_replicate", re.IGNORECASE)


def files_that_know(rooms_left_out: tuple[str, ...]) -> list[str]:
    files = (path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py")))
    return [str(p) for p in files if p.parts[0] not in rooms_left_out and NAMES.search((PACKAGE / p).read_text())]


def test_fsdp_is_known_in_at_most_three_files_outside_of_parallel() -> None:
    known = files_that_know((*PREDICTION, "parallel"))
    assert len(known) <= 3, known
    assert not any(name.startswith(("train/", "model/")) for name in known), known


def test_torchs_own_fsdp_is_in_one_file() -> None:
    found = [str(p) for p in sorted(PACKAGE.rglob("*.py")) if re.search(r"fully_shard|FSDPModule", p.read_text())]
    assert [Path(path).relative_to(PACKAGE).as_posix() for path in found] == ["parallel/fsdp.py"]
