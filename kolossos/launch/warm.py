"""What every rank loads, loaded once in the process that ranks are forked from. Nothing here starts a thread."""

import torch._dynamo
import torch.distributed.fsdp  # noqa: F401

import kolossos.runs.tensorboard
import kolossos.train.start  # noqa: F401
