"""A data format is one file: a test adds one, and the command line reads it."""

import json
import subprocess
import sys
from pathlib import Path

from overlay import overlay, run

BARS = '''
"""Values between bars with a header line; one document a row."""

import csv

from kolossos.data.document import Document, Facts
from kolossos.data.format import Claim, Format


class Bars(Format):
    name = "bars"
    described = ".psv"
    disk_bytes_per_byte = 3

    def claim(self, path, named):
        return Claim.ENDING if path.suffix == ".psv" else Claim.NONE

    def read(self, path, text_key, part):
        with open(path, newline="", encoding="utf-8") as file:
            for row, record in enumerate(csv.DictReader(file, delimiter="|"), start=1):
                yield Document(record[text_key], f"{path}: row {row}", row, facts=Facts.of_record(record))


FORMAT = Bars()
'''


def test_one_new_file_is_a_new_data_format(tmp_path: Path) -> None:
    root = overlay(tmp_path)
    (root / "kolossos" / "data" / "formats" / "bars.py").write_text(BARS)
    (root / "folder").mkdir()
    rows = [f"{i}|{name}|Some words to learn from, by {name}." for i, name in enumerate(("Ada", "Grace", "Edsger"))]
    (root / "folder" / "table.psv").write_text("\n".join(["id|author|text", *rows]) + "\n")
    made = run(root, "data", "prepare", "folder", "--out", "data", "--vocab-size", "300", "--workers", "2", "--json")
    assert made.returncode == 0, made.stderr
    assert sum(split["documents"] for split in json.loads(made.stdout)["splits"].values()) == 3
    program = """
from kolossos.data.corpus.corpus import Corpus
corpus = Corpus.open("data")
print(*sorted(r.author for split in corpus.manifest.splits for r in corpus.documents(split)))
"""
    shown = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["Ada", "Edsger", "Grace"]
    refused = run(root, "data", "prepare", "folder", "--out", "other", "--text-key", "txt")
    assert refused.returncode != 0


def test_what_is_unknown_is_named_with_what_is_known(tmp_path: Path) -> None:
    root = overlay(tmp_path)
    (root / "folder").mkdir()
    (root / "folder" / "table.psv").write_text("text\nwords\n")
    refused = run(root, "data", "prepare", "folder", "--out", "data")
    assert refused.returncode == 2
    assert ".psv 1" in refused.stderr
    assert ".parquet" in refused.stderr
