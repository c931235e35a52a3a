"""A small corpus and the run file of a model that trains on it in a second."""

import sysconfig
from pathlib import Path

import pytest

from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.specs.run import RunSpec, load_run

RUN = """
name = "small"
seed = 3
[model]
spec = "grok-nano"
n_layers = 2
dim = 32
n_heads = 2
n_kv_heads = 1
head_dim = 16
vocab_size = 400
embedding_multiplier = 5.6
moe = { n_experts = 4, top_k = 2, expert_dim = 48 }
[data]
path = "PATH"
[layout]
seq_len = 64
micro_batch_size = 2
global_batch_size = 4
precision = "fp32"
[optimizer]
name = "muon"
lr = 0.003
[schedule]
steps = 12
warmup_steps = 2
[checkpoint]
every = 4
[evaluate]
batches = 2
[compute]
compile = "off"
threads = 1
"""

PIECE_LINES = 60


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The json and logging packages in pieces, so that a small share can be held out, prepared with 400 tokens."""
    library = Path(sysconfig.get_paths()["stdlib"])
    texts = tmp_path_factory.mktemp("texts")
    for source in (*library.glob("json/*.py"), *library.glob("logging/*.py")):
        lines = source.read_text().splitlines(keepends=True)
        for start in range(0, len(lines), PIECE_LINES):
            (texts / f"{source.parent.name}-{source.stem}-{start}.py").write_text("".join(lines[start:][:PIECE_LINES]))
    out = tmp_path_factory.mktemp("corpus") / "data"
    return prepare([str(texts)], out, PrepareOptions(vocab_size=400, val_fraction=0.03), workers=1).folder


@pytest.fixture
def run_file(data_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(RUN.replace("PATH", str(data_folder)))
    return path


@pytest.fixture
def run_spec(run_file: Path) -> RunSpec:
    return load_run(run_file)
