"""One interface for files here and elsewhere: what is written appears whole."""

import uuid
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.stores import LocalStore, RemoteStore, Store, open_store


@pytest.fixture(params=["path", "file URL", "memory URL"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A folder that does not exist yet."""
    places = {"path": str(tmp_path / "s"), "file URL": f"file://{tmp_path}/s", "memory URL": f"memory://{uuid.uuid4()}"}
    return open_store(places[request.param])


def test_what_is_written_is_read_listed_measured_and_removed(store: Store) -> None:
    assert store.names() == []
    store.write("a.txt", "text")
    (store / "sub" / "deep").write("b.bin", b"123")
    with store.create("c.bin") as file:
        file.write(b"12")
        file.write(memoryview(b"345"))
    assert store.names() == ["a.txt", "c.bin", "sub"]
    assert (store / "sub").names() == ["deep"]
    assert (store.read("a.txt"), store.size("c.bin"), (store / "sub" / "deep").read("b.bin")) == (b"text", 5, b"123")
    assert store.sha256("c.bin").startswith("5994471abb01112a")
    with store.open("c.bin") as file:
        file.seek(3)
        assert file.read() == b"45"
    store.write("a.txt", "other")
    assert store.read("a.txt") == b"other"
    for name in ("a.txt", "sub", "never there"):
        store.remove(name)
    assert store.names() == ["c.bin"]
    assert store.exists("c.bin")
    assert not store.exists("sub")


def test_a_file_whose_writing_fails_is_not_there(store: Store) -> None:
    def write_half() -> None:
        with store.create("a") as file:
            file.write(b"half")
            raise ValueError("cut")

    with pytest.raises(ValueError, match="cut"):
        write_half()
    assert store.names() == []
    with pytest.raises(FileNotFoundError):
        store.read("a")
    with pytest.raises(FileNotFoundError):
        store.size("a")


def test_local_copies_are_made_once_and_a_local_folder_is_its_own(store: Store, tmp_path: Path) -> None:
    store.write("a", b"1")
    folder = store.make_local(["a"], tmp_path / "copy")
    assert (folder / "a").read_bytes() == b"1"
    assert (folder == store.local) == isinstance(store, LocalStore)
    assert store.renames == isinstance(store, LocalStore)
    if store.renames:
        store.rename("a", "b")
        assert store.names() == ["b"]


def test_a_store_elsewhere_raises_only_os_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"memory://{uuid.uuid4()}")
    assert isinstance(store, RemoteStore)

    def refuse(*_: object, **__: object) -> None:
        raise KeyError("credentials")

    for call in ("ls", "open", "pipe_file"):
        monkeypatch.setattr(type(store._filesystem), call, refuse)
    for act in (
        store.names,
        lambda: store.open("a"),
        lambda: store.write("a", b""),
        lambda: store.create("a").__enter__(),
    ):
        with pytest.raises(OSError, match=r"memory://.*credentials"):
            act()


def test_an_unknown_kind_of_store_is_named() -> None:
    with pytest.raises(InputError, match="nosuch://place: no such store"):
        open_store("nosuch://place")
