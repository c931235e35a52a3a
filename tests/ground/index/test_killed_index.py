"""A process that indexes is killed at any moment: what it said was acknowledged is there, and the next run goes on."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kolossos.ground import fill as filling
from kolossos.ground.index import open_index
from kolossos.ground.index.open import open_store
from kolossos.ground.query import parse_query
from kolossos.ground.reading.options import ReadOptions
from kolossos.ground.source import Query

BATCH = 50
POSTS = 4_000
INDEX = f"""
import sys
from pathlib import Path
from kolossos.ground import fill
from kolossos.ground.index.open import open_store
from kolossos.ground.reading.options import ReadOptions
fill.BATCH_SOURCES = fill.BATCH_EMBEDDED = {BATCH}
def told(source, counts):
    print(counts.added + counts.changed + counts.unchanged, flush=True)
model = Path(sys.argv[3]) if len(sys.argv) > 3 else None
fill.fill(open_store(sys.argv[2], model), [sys.argv[1]], ReadOptions(), told=told)
"""


def killed_while_indexing(posts: Path, index: Path, model: list[str], after_s: float) -> int:
    """How many sources were acknowledged when the process was killed."""
    command = [sys.executable, "-c", INDEX, str(posts), str(index), *model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first batch
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split("\n")[:-1]  # whole lines
        assert process.wait() == -signal.SIGKILL
    return max(map(int, told), default=BATCH)


@pytest.mark.parametrize(
    ("kills", "embedded"), [(2, False), pytest.param(3, True, marks=pytest.mark.slow)], ids=["words", "vectors"]
)
def test_nothing_acknowledged_is_lost(tmp_path, model_folder, monkeypatch, kills: int, embedded: bool) -> None:
    posts, index = tmp_path / "posts.jsonl", tmp_path / "index"
    lines = [json.dumps({"id": str(n), "text": f"post {n} of a ship", "author": f"a{n % 7}"}) for n in range(POSTS)]
    posts.write_text("\n".join(lines))
    model = [str(model_folder)] if embedded else []
    random_ = random.Random(1)
    for _ in range(kills):
        acknowledged = killed_while_indexing(posts, index, model, random_.uniform(0, 0.4))
        found = open_index(index).search(Query("", kind="post"), 2 * POSTS)
        keys = {int(hit.passage.source.key) for hit in found}
        assert set(range(acknowledged)) <= keys
        assert keys == set(range(len(keys)))
        assert len(keys) % BATCH == 0
    monkeypatch.setattr(filling, "BATCH_SOURCES", 1000)
    monkeypatch.setattr(filling, "BATCH_EMBEDDED", 1000)
    counts = filling.fill(open_store(str(index)), [str(posts)], ReadOptions()).counts
    assert counts.unchanged == len(keys)
    assert counts.added == POSTS - len(keys) > 0
    searcher = open_index(index)
    assert len(searcher.search(Query("", kind="post"), 2 * POSTS)) == POSTS
    best = searcher.search(parse_query('"post 3210"'))[0]
    assert best.passage.source.key == "3210"
    if embedded:
        assert {"lexical rank", "dense rank"} <= best.why.keys()
