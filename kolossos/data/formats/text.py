"""Text and code files: a small one is a document, a large one (a dump, a book) a document every few paragraphs."""

from collections.abc import Iterator
from pathlib import Path

from kolossos.data.document import Document, Facts, storable
from kolossos.data.format import Claim, Format, NotThisFormat, Part

LARGE_FILE_BYTES = 1 << 20
PIECE_BYTES = 1 << 16

# fmt: off
SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc"})
CODE_SUFFIXES = frozenset({
    ".asm", ".bash", ".c", ".cc", ".clj", ".cmake", ".cpp", ".cs", ".css", ".cu", ".cuh", ".cxx", ".dart", ".el",
    ".erl", ".ex", ".exs", ".f90", ".fish", ".go", ".h", ".hpp", ".hs", ".java", ".jl", ".js", ".jsx", ".kt", ".lisp",
    ".lua", ".m", ".ml", ".nim", ".php", ".pl", ".proto", ".ps1", ".py", ".pyi", ".pyx", ".r", ".rb", ".rs", ".scala",
    ".scm", ".scss", ".sh", ".sql", ".sv", ".swift", ".toml", ".ts", ".tsx", ".v", ".vhd", ".vue", ".yaml", ".yml",
    ".zig", ".zsh",
})
# fmt: on


class Text(Format):
    """UTF-8 text. Its path is its address; a file's date of change is not the document's and is left out."""

    name = "text"
    described = "text and code files"
    disk_bytes_per_byte = 2
    unreadable_in_folder = "skip"

    def claim(self, path: Path, named: bool) -> Claim:
        suffix = path.suffix.lower()
        if suffix in SUFFIXES or suffix in CODE_SUFFIXES:
            return Claim.ENDING
        return Claim.FALLBACK if named else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document]:
        facts = Facts(url=storable(str(path)))
        if path.stat().st_size <= LARGE_FILE_BYTES:
            content = path.read_bytes()
            if content:
                yield Document(_decoded(content, path, 1), str(path), facts=facts)
            return
        line = 1
        for piece in _pieces(path):
            yield Document(_decoded(piece, path, line), f"{path}:{line}", line, facts=facts)
            line += piece.count(b"\n")


def _pieces(path: Path) -> Iterator[bytes]:
    """The file cut at blank lines into pieces of about PIECE_BYTES; at any line where there are no blank ones."""
    lines: list[bytes] = []
    size = 0
    with open(path, "rb") as file:
        for line in file:
            lines.append(line)
            size += len(line)
            if size >= 2 * PIECE_BYTES or (size >= PIECE_BYTES and line.isspace()):
                yield b"".join(lines)
                lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _decoded(content: bytes, path: Path, first_line: int) -> str:
    if b"\0" in content:
        line = first_line + content.count(b"\n", 0, content.index(b"\0"))
        raise NotThisFormat(f"{path}:{line}: binary, not text (a NUL byte); give UTF-8 text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        raise NotThisFormat(f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); give UTF-8 text") from error


FORMAT = Text()
