"""The kernels compiled for this machine: once for each compiler and kind of processor, kept in the user's cache."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = ("vectors.h", "products.h", "attention.h", "decoder.cpp")
FLAGS = ("-O3", "-std=c++17", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
COMPILER_SECONDS = 600


class NoCompiler(Exception):
    """There is no C++ compiler here, or it cannot compile the kernels; the message says which."""


def load_library(
    say: Callable[[str], None] = lambda _: None, target: tuple[str, ...] = ("-march=native",)
) -> ctypes.CDLL:
    """The kernels for ``target``, compiled if they are not in the cache.

    Raises:
        NoCompiler: they cannot be had.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise NoCompiler("no C++ compiler (g++ or clang++, or CXX)")
    flags = [*FLAGS, *target]
    file = _cache() / f"engine-{_key(compiler, flags)}.so"
    if not file.is_file():
        say("compiling the engine's kernels for this processor (once)")
        _compile(compiler, flags, file)
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        raise NoCompiler(f"{file}: {error}") from None


def _cache() -> Path:
    root = os.environ.get("KOLOSSOS_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "kolossos"


def _key(compiler: str, flags: list[str]) -> str:
    """Of the sources, the flags, and what the compiler says of itself and of the processor it compiles for."""
    digest = hashlib.sha256(repr(flags).encode())
    for name in SOURCES:
        digest.update((FOLDER / name).read_bytes())
    digest.update(_run([compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull]))
    return digest.hexdigest()[:24]


def _compile(compiler: str, flags: list[str], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made = Path(folder) / file.name
        source = str(FOLDER / SOURCES[-1])
        try:
            _run([compiler, *flags, "-fopenmp", source, "-o", str(made), *_openmp()])
        except NoCompiler:  # without threads rather than not at all
            _run([compiler, *flags, source, "-o", str(made)])
        os.replace(made, file)


def _openmp() -> list[str]:
    """The threads that torch has already, where it brings its own: two pools would wait for each other's cores."""
    import torch

    return [str(path) for path in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")][:1]


def _run(command: list[str]) -> bytes:
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=COMPILER_SECONDS).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise NoCompiler(f"{command[0]}: {said.decode(errors='replace').strip().splitlines()[-1]}") from None
