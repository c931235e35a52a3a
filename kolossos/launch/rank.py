"""One rank of a job: ``python -m kolossos.launch.rank FOLDER train ...`` runs ``kolossos train ...``.

Torch's agent ends all ranks as soon as one ends with another code than 0. A rank that was stopped and saved (75) must
not end one that is still writing: its code is left in FOLDER, and the agent sees 0.
"""

import runpy
import sys
from contextlib import suppress
from pathlib import Path

from kolossos.launch.job import STOPPED


def main() -> None:
    folder, *arguments = sys.argv[1:]
    sys.argv = ["kolossos", *arguments]
    try:
        runpy.run_module("kolossos", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code != STOPPED:
            raise
        with suppress(OSError):  # no place for a note: the agent may then see a run that has ended
            (Path(folder) / "stopped").touch()


if __name__ == "__main__":
    main()
