"""docs/run_file.md has every key of a run file, as the spec has them now."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_made_from_the_spec_and_says_something_of_every_key() -> None:
    check = [sys.executable, "benchmarks/run_file_page.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "docs/run_file.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    for row in rows:
        assert re.fullmatch(r"\| `\w+` \| [^|].*\|.*\| [^|]+ \| [^|]{3,} \|", row), row
