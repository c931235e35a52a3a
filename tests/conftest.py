"""Property tests draw the same examples on every run of `make test`, and new ones in `make test-all`.

A failure found by new examples is kept in .hypothesis and printed as an `@example` to be added to the test.
"""

import os

from hypothesis import settings

os.environ.setdefault("KOLOSSOS_MEETING_SECONDS", "240")  # ranks of tests start at very different times

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("same")
