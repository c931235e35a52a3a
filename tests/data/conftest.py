"""A small text corpus with its prepared folder: standard library packages that every Python has."""

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from kolossos.data.corpus.corpus import Corpus
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare


@pytest.fixture(scope="session")
def small_options() -> PrepareOptions:
    return PrepareOptions(vocab_size=400, val_fraction=0.1, shard_tokens=20_000)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of about 200 KB of Python, with an exact and a near duplicate."""
    folder = tmp_path_factory.mktemp("source")
    library = Path(sysconfig.get_paths()["stdlib"])
    for package in ("json", "logging", "wsgiref"):
        shutil.copytree(library / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "json" / "decoder.py").read_text()
    (folder / "zz").mkdir()  # read last, so that the originals win
    (folder / "zz" / "same.py").write_text(text.replace("\n", "\r\n"))
    (folder / "zz" / "nearly_the_same.py").write_text(text.replace("JSON", "json", 3))
    return folder


@pytest.fixture(scope="session")
def corpus(source: Path, small_options: PrepareOptions, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """That folder prepared, in several shards."""
    return Corpus.open(prepare([str(source)], tmp_path_factory.mktemp("out") / "data", small_options, workers=1).folder)


@pytest.fixture(scope="session")
def content_of() -> Callable[[Path], dict[str, bytes]]:
    """All files of a folder, by their relative path."""
    return lambda folder: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
