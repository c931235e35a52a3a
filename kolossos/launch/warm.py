"""What every rank loads, loaded once in the process that ranks are forked from. Nothing here starts a thread."""

import kolossos.train.start  # noqa: F401
