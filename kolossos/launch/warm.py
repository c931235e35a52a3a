"""What every rank loads, loaded once in the process that ranks are forked from. Nothing here starts a thread."""

import torch._dynamo  # noqa: F401  fully_shard loads it
import torch.distributed.fsdp  # noqa: F401

import kolossos.runs.tensorboard  # noqa: F401
import kolossos.train.start  # noqa: F401
