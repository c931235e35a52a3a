"""Prepared data in a store that is not on this machine."""

import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from kolossos.cli.data import app
from kolossos.data.corpus.corpus import Corpus
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError
from kolossos.stores import CACHE_VARIABLE, RemoteStore

ContentOf = Callable[[Path], dict[str, bytes]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4()}/data"


def test_the_same_files_as_in_a_folder_and_read_from_a_local_copy(
    url: str, source: Path, corpus: Corpus, small_options: PrepareOptions, cache: Path, content_of: ContentOf
) -> None:
    made = prepare([str(source)], url, small_options, workers=1)
    assert made.manifest == corpus.manifest
    filesystem, path = fsspec.url_to_fs(url)
    stored = {Path(name).name: filesystem.cat_file(name) for name in filesystem.ls(path, detail=False)}
    assert stored == content_of(corpus.folder)
    assert not [file for file in cache.rglob("*") if file.is_file()]
    opened = Corpus.open(url)
    assert opened.folder.is_relative_to(cache)
    opened.verify()
    assert opened.document("train", 3) == corpus.document("train", 3)
    filesystem.rm_file(f"{path}/train-00000.bin")  # the copy is used from now on
    assert Corpus.open(url).split("train").n_tokens == corpus.split("train").n_tokens
    assert prepare([str(source)], url, small_options, workers=1).was_complete


def test_an_upload_that_breaks_leaves_no_data_and_the_same_command_goes_on(
    url: str, source: Path, small_options: PrepareOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_create, created = RemoteStore.create, []

    def create(self: RemoteStore, name: str):
        created.append(name)
        if len(created) == 4:
            raise OSError("connection lost")
        return real_create(self, name)

    monkeypatch.setattr(RemoteStore, "create", create)
    with pytest.raises(InputError, match=r"cannot write to memory://.*connection lost.*goes on from here"):
        prepare([str(source)], url, small_options, workers=1)
    with pytest.raises(InputError, match="is no prepared data"):
        Corpus.open(url)
    stages = set()
    prepare([str(source)], url, small_options, workers=1, progress=lambda stage, *_: stages.add(stage))
    assert stages == {"put"}  # nothing was read or tokenized again
    Corpus.open(url).verify()


def test_other_data_is_refused_or_replaced_and_what_is_not_ours_is_left(
    url: str, source: Path, small_options: PrepareOptions, tmp_path: Path
) -> None:
    prepare([str(source)], url, small_options, workers=1)
    (tmp_path / "text.txt").write_text("Other words to learn from, now and then.")
    options = PrepareOptions(vocab_size=300)
    with pytest.raises(InputError, match=r"holds data prepared otherwise .*sources"):
        prepare([str(tmp_path / "text.txt")], url, options, workers=1)
    made = prepare([str(tmp_path / "text.txt")], url, options, workers=1, overwrite=True)
    assert Corpus.open(url).manifest == made.manifest
    filesystem, path = fsspec.url_to_fs(url)
    left = {Path(name).name for name in filesystem.ls(path, detail=False)}
    assert left == {"manifest.json", *made.manifest.file_hashes()}
    filesystem.pipe_file(f"{path}-diary/a.txt", b"mine")
    with pytest.raises(InputError, match="exists and is not prepared data"):
        prepare([str(source)], f"{url}-diary", options, workers=1, overwrite=True)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_the_command_line_takes_urls(kind: str, url: str, source: Path, tmp_path: Path) -> None:
    place = url if kind == "memory" else f"file://{tmp_path}/data"
    arguments = ["prepare", str(source), "--out", place, "--vocab-size", "400", "--workers", "1"]
    made = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"{place} is ready" in made.stderr
    shown = CliRunner().invoke(app, ["show", place, "--verify"], catch_exceptions=False)
    assert "every file is as the manifest says" in shown.stderr
    assert (tmp_path / "data" / "manifest.json").exists() == (kind == "file")
