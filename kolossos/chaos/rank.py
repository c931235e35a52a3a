"""A rank of a run under trial: what it would print is for the person who watches, for stdout is the outcome's."""

import os
import random
import signal
import sys

from kolossos.launch.replicas import run_rank

FLIP = signal.SIGUSR2
"""Sent to a rank: a bit of the next gradient that it computes is flipped."""


def run_rank_aside(environment: dict[str, str], command: list[str]) -> None:
    """`run_rank` with stdout as stderr."""
    sys.stdout.flush()
    os.dup2(2, 1)
    signal.signal(FLIP, lambda *_: _flip_next())
    run_rank(environment, command)


def _flip_next() -> None:
    """As a processor would that adds up wrongly: of any element, any bit of the fraction or the lowest of the exponent.

    (One that makes the step stand out or be not finite is found by other means.)
    """
    import torch

    from kolossos.train.replicas import crew

    real = crew.vectors_of

    def flipped(work, units, own, batch_of):  # type: ignore[no-untyped-def]
        crew.vectors_of = real
        found = real(work, units, own, batch_of)
        vector, gradients = found.values[-1], sum(parameter.numel() for parameter in work.model.parameters())
        some = torch.nonzero(vector[: min(gradients, len(vector))]).flatten()
        place = int(some[random.randrange(len(some))])
        vector[place : place + 1].view(torch.int32).bitwise_xor_(1 << random.randrange(24))
        return found

    crew.vectors_of = flipped
