"""What every rank loads, loaded once in the process that ranks are forked from. Nothing here starts a thread."""

import torch._dynamo  # noqa: F401  loaded as soon as weights are cut

import kolossos.runs.tensorboard
import kolossos.train.start  # noqa: F401
