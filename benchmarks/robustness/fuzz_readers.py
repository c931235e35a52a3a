"""Every reader of data against files changed at random: how many were read, how many refused in one line, and the rest.

    python benchmarks/robustness/fuzz_readers.py --inputs 50000 --parquet 5000

There must be no traceback and no private text; the peak of memory is printed. Input i is made from the number i, so a
failure is seen again with ``--first i --inputs 1``.
"""

import argparse
import collections
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests" / "data"
sys.path.insert(0, str(TESTS))

from fuzz_inputs import MARKER, read_input, write_input  # noqa: E402  # pyright: ignore[reportMissingImports]


def read_here(first: int, inputs: int) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    for number in range(first, first + inputs):
        if number > first and (number - first) % 1000 == 0:
            print(f"{number - first:,} inputs: {dict(sorted(counts.items()))}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            place = write_input(number, Path(folder))
            try:
                outcome, texts = read_input(place, number)
            except Exception:
                print(f"input {number} ({place.name}):\n{traceback.format_exc()}", flush=True)
                counts["traceback"] += 1
                continue
            if any(MARKER in text for text in texts):
                print(f"input {number} ({place.name}): private text was read", flush=True)
                counts["private"] += 1
            counts["refused" if isinstance(outcome, str) else "read"] += 1
    return counts


def read_parquet(first: int, inputs: int) -> collections.Counter[str]:
    """In another process, started again when a file ends it."""
    counts: collections.Counter[str] = collections.Counter()
    process = None
    for number in range(first, first + inputs):
        with tempfile.TemporaryDirectory() as folder:
            place = write_input(number, Path(folder), parquet=True)
            if process is None:
                command = [sys.executable, str(TESTS / "fuzz_inputs.py")]
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{place} {number}\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
            if not answer:
                process.wait()
                process = None
                answer = "ended its process"
            if answer.startswith("TRACEBACK"):
                print(f"parquet input {number}: {answer}", flush=True)
                answer = "traceback"
            counts[f"parquet {answer}"] += 1
    if process is not None:
        process.communicate()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--parquet", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    start = time.monotonic()
    counts = read_here(options.first, options.inputs) + read_parquet(options.first, options.parquet)
    own, others = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(dict(sorted(counts.items())), f"{time.monotonic() - start:.0f} s, peak {own:.0f} and {others:.0f} MiB")


if __name__ == "__main__":
    main()
