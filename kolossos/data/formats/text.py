"""Text and code files: a small one is a document, a large one (a dump, a book) a document every few paragraphs."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from kolossos.data.compression import DAMAGED, PACKED_SUFFIXES, damage, inner_suffix, unpacked
from kolossos.data.document import Document, Facts, storable
from kolossos.data.format import Claim, Format, NotThisFormat, Part
from kolossos.data.pieces import LARGE_TEXT_BYTES, pieces

# fmt: off
SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc"})
CODE_SUFFIXES = frozenset({
    ".asm", ".bash", ".c", ".cc", ".clj", ".cmake", ".cpp", ".cs", ".css", ".cu", ".cuh", ".cxx", ".dart", ".el",
    ".erl", ".ex", ".exs", ".f90", ".fish", ".go", ".h", ".hpp", ".hs", ".java", ".jl", ".js", ".jsx", ".kt", ".lisp",
    ".lua", ".m", ".ml", ".nim", ".php", ".pl", ".proto", ".ps1", ".py", ".pyi", ".pyx", ".r", ".rb", ".rs", ".scala",
    ".scm", ".scss", ".sh", ".sql", ".sv", ".swift", ".toml", ".ts", ".tsx", ".v", ".vhd", ".vue", ".yaml", ".yml",
    ".zig", ".zsh",
})
# Named by these endings it is no plain text, whatever can be decoded of it.
KNOWN_OTHERS = frozenset({
    ".7z", ".arrow", ".avro", ".bin", ".db", ".doc", ".docx", ".eml", ".epub", ".feather", ".htm", ".html", ".ics",
    ".mbox", ".mobi", ".odt", ".orc", ".pdf", ".pkl", ".pptx", ".ps", ".rar", ".rtf", ".sqlite", ".svg", ".tar", ".tgz",
    ".vcf", ".warc", ".xhtml", ".xls", ".xlsx", ".xml", ".zip",
})
# fmt: on
WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Text(Format):
    """UTF-8 text. Its path is its address; a file's date of change is not the document's and is left out."""

    name = "text"
    described = "text and code files"
    disk_bytes_per_byte = 2
    unreadable_in_folder = "skip"

    def claim(self, path: Path, named: bool) -> Claim:
        suffix = inner_suffix(path)
        if suffix in SUFFIXES or suffix in CODE_SUFFIXES:
            return Claim.ENDING
        packed = path.suffix.lower() in PACKED_SUFFIXES
        return Claim.FALLBACK if named and not packed and suffix not in KNOWN_OTHERS else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document]:
        facts = Facts(url=storable(str(path)))
        line = 1
        try:
            with unpacked(path) as file:
                content = file.read(LARGE_TEXT_BYTES + 1)
            if len(content) <= LARGE_TEXT_BYTES:
                if content:
                    yield Document(_decoded(content, path, 1), str(path), facts=facts)
                return
            with unpacked(path) as file:
                for piece in pieces(file):
                    yield Document(_decoded(piece, path, line), f"{path}:{line}", line, facts=facts)
                    line += piece.count(b"\n")
        except DAMAGED as error:
            raise damage(path, error, f"line {line}") from error


def _decoded(content: bytes, path: Path, first_line: int) -> str:
    if wide := wide_encoding(content):
        convert = f"convert it (iconv -f {wide} -t UTF-8)"
        raise NotThisFormat(f"{path}: {wide} text, but UTF-8 is what is read; {convert}", wide.lower())
    if b"\0" in content:
        line = first_line + content.count(b"\n", 0, content.index(b"\0"))
        raise NotThisFormat(f"{path}:{line}: binary, not text (a NUL byte); give UTF-8 text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        raise NotThisFormat(f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); give UTF-8 text") from error


def wide_encoding(content: bytes) -> str | None:
    """UTF-16 or UTF-32 where bytes begin with its mark, or hold a NUL beside nearly every letter; None if not."""
    for mark, name in WIDE_MARKS.items():
        if content.startswith(mark):
            return name
    sample = content[:1024]
    if len(sample) >= 8 and b"\0" in sample:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if max(even, odd) > 0.4 * len(sample) and min(even, odd) < 0.05 * len(sample):
            return "UTF-16LE" if odd > even else "UTF-16BE"
    return None


FORMAT = Text()
