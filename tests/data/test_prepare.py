"""`prepare` makes the same folder whatever happens on the way: any workers, any interruption, any number of runs."""

import dataclasses
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kolossos.data.corpus.corpus import Corpus
from kolossos.data.documents import gather, work_files
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError

ContentOf = Callable[[Path], dict[str, bytes]]


def test_documents_come_back_from_the_shards_word_by_word(corpus: Corpus, source: Path) -> None:
    tokenizer, texts = corpus.tokenizer(), []
    for name in ("train", "validation"):
        split = corpus.split(name)
        ids = split.stream(0, split.n_tokens).tolist()
        assert ids.count(tokenizer.eos_id) == split.n_documents
        texts += _texts_between(ids, tokenizer.eos_id, tokenizer.decode)
        if name == "validation":
            written = (corpus.folder / "validation.txt").read_bytes()
            assert written.decode() == "".join(texts[-split.n_documents :])
            assert len(written) == split.n_bytes
    originals = [path.read_text().rstrip() for path in source.rglob("*.py") if path.parent.name != "zz"]
    assert sorted(texts) == sorted(original for original in originals if len(original) >= 20)
    dropped = corpus.manifest.dropped
    assert (dropped["exact_duplicate"], dropped["near_duplicate"]) == (1, 1)


def _texts_between(ids: list[int], eos_id: int, decode: Callable[[list[int]], str]) -> list[str]:
    texts, text = [], []
    for token_id in ids:
        if token_id == eos_id:
            texts.append(decode(text))
            text = []
        else:
            text.append(token_id)
    return texts


def test_two_workers_make_the_same_bytes_as_one(
    small_options: PrepareOptions,
    corpus: Corpus,
    source: Path,
    tmp_path: Path,
    content_of: ContentOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "TASK_BYTES", 30_000)
    made = prepare([str(source)], tmp_path / "data", small_options, workers=2)
    assert content_of(made.folder) == content_of(corpus.folder)


class Interrupted(Exception):
    """Stands for anything that is not bad input: a kill, a lost node."""


def test_interrupted_after_every_piece_of_work_it_ends_with_the_same_bytes(
    small_options: PrepareOptions,
    corpus: Corpus,
    source: Path,
    tmp_path: Path,
    content_of: ContentOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "TASK_BYTES", 30_000)
    monkeypatch.setattr(work_files, "BATCH_BYTES", 20_000)
    stages_interrupted = set()
    for allowed in range(1000):
        calls = 0

        def progress(stage: str, done: int, total: int, allowed: int = allowed) -> None:
            nonlocal calls
            calls += 1
            if calls > allowed:
                stages_interrupted.add(stage)
                raise Interrupted

        try:
            made = prepare([str(source)], tmp_path / "data", small_options, workers=1, progress=progress)
        except Interrupted:
            assert [entry.name for entry in tmp_path.iterdir()] == ["data.partial"]
        else:
            break
    assert stages_interrupted == {"read", "tokenizer", "tokenize"}
    assert content_of(made.folder) == content_of(corpus.folder)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_killed_while_it_writes_shards_it_is_resumed(
    small_options: PrepareOptions, corpus: Corpus, source: Path, tmp_path: Path, content_of: ContentOf
) -> None:
    program = f"""
import os, signal
from kolossos.data.documents import work_files
from kolossos.data.prepare import prepare, PrepareOptions
work_files.BATCH_BYTES = 20_000
def kill_late(stage, done, total):
    if stage == "tokenize" and done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)
options = PrepareOptions(**{vars(small_options)!r})
prepare([{str(source)!r}], {str(tmp_path / "data")!r}, options, workers=1, progress=kill_late)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    finished_shards = list((tmp_path / "data.partial").glob("train-*.bin"))
    assert finished_shards
    times = {path.name: path.stat().st_mtime_ns for path in finished_shards}
    made = prepare([str(source)], tmp_path / "data", small_options, workers=1)
    assert content_of(made.folder) == content_of(corpus.folder)
    assert times == {name: (made.folder / name).stat().st_mtime_ns for name in times}  # not written again


def test_cut_off_before_any_rename_an_overwrite_ends_complete_and_loses_nothing(
    tmp_path: Path, content_of: ContentOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [tmp_path / "texts" / f"{name}.txt" for name in "abc"]
    texts[0].parent.mkdir()
    for text in texts:
        text.write_text(f"Some words to learn from, of {text.stem}.")
    options, real_replace = PrepareOptions(vocab_size=300), os.replace
    prepare([str(texts[0])], tmp_path / "data", options, workers=1)
    expected = prepare([str(texts[0].parent)], tmp_path / "expected", options, workers=1)
    allowed = 0

    def replace(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Interrupted
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", replace)
    while True:
        left = allowed
        try:
            prepare([str(texts[0].parent)], tmp_path / "data", options, workers=1, overwrite=True)
            break
        except Interrupted:
            allowed += 1
            assert any((tmp_path / name / "manifest.json").exists() for name in ("data", "data.replaced"))
    assert content_of(tmp_path / "data") == content_of(expected.folder)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "expected", "texts"]


def test_same_command_again_does_nothing_and_another_one_is_refused(source: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Some words to learn from, again and again.")
    options = PrepareOptions(vocab_size=300)
    first = prepare([str(text)], tmp_path / "data", options, workers=1)
    again = prepare([str(text)], tmp_path / "data", options, workers=1)
    assert (first.was_complete, again.was_complete, again.manifest) == (False, True, first.manifest)
    other = dataclasses.replace(options, min_chars=1)
    with pytest.raises(InputError, match=r"different: min_chars.*overwrite it"):
        prepare([str(text)], tmp_path / "data", other, workers=1)
    assert prepare([str(text)], tmp_path / "data", other, workers=1, overwrite=True).manifest.options.min_chars == 1
    text.write_text("Other words to learn from, now and then.")
    with pytest.raises(InputError, match="different: sources"):
        prepare([str(text)], tmp_path / "data", other, workers=1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "text.txt"]


def test_output_inside_the_source_is_not_read_back(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words to learn from, again and again.")
    options = PrepareOptions(vocab_size=300)
    assert not prepare([str(tmp_path)], tmp_path / "data", options, workers=1).was_complete
    assert prepare([str(tmp_path)], tmp_path / "data", options, workers=1).was_complete


def test_folders_that_are_not_ours_are_never_touched(
    small_options: PrepareOptions, source: Path, tmp_path: Path
) -> None:
    for name in ("data", "other.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "diary.txt").write_text("mine")
    for out in ("data", "other"):
        with pytest.raises(InputError, match="choose another folder"):
            prepare([str(source)], tmp_path / out, small_options, workers=1, overwrite=True)
    assert (tmp_path / "data" / "diary.txt").exists()
    assert (tmp_path / "other.partial" / "diary.txt").exists()


@pytest.mark.parametrize("writes_before_full", [0, 3, 8])
def test_full_disk_is_one_line_and_leaves_nothing(
    small_options: PrepareOptions,
    writes_before_full: int,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_fsync, writes = os.fsync, iter(range(1000))

    def fsync(descriptor: int) -> None:
        if next(writes) > writes_before_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InputError, match=r"no space left on the disk of .*: about [\d,]+ MB are needed"):
        prepare([str(source)], tmp_path / "data", small_options, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_limit_takes_the_first_documents(small_options: PrepareOptions, source: Path, tmp_path: Path) -> None:
    limited = dataclasses.replace(small_options, limit_bytes=50_000)
    manifest = prepare([str(source)], tmp_path / "data", limited, workers=1).manifest
    total = sum(split.bytes for split in manifest.splits.values())
    assert 25_000 < total <= 50_000


def test_given_tokenizer_is_used_and_kept(
    small_options: PrepareOptions, corpus: Corpus, source: Path, tmp_path: Path
) -> None:
    options = dataclasses.replace(small_options, tokenizer=str(corpus.folder))
    made = prepare([str(source)], tmp_path / "data", options, workers=1)
    assert made.manifest.tokenizer == corpus.manifest.tokenizer
    assert made.manifest.splits == corpus.manifest.splits
