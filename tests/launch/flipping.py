"""A rank whose memory is wrong once: after some step a bit of a weight is another."""

import torch

from kolossos.launch.replicas import run_rank

AFTER_STEP, REPLICA = 5, "1"


def run_rank_flipping(environment: dict[str, str], command: list[str]) -> None:
    from kolossos.train.replicas.crew import Crew

    if (environment["KOLOSSOS_REPLICA"], environment["KOLOSSOS_LIFE"]) == (REPLICA, "0"):
        step_of = Crew.step

        def step(crew: Crew, number: int, lr_factor: float, wish_to_stop: bool):
            result = step_of(crew, number, lr_factor, wish_to_stop)
            if number + 1 == AFTER_STEP:
                weight = next(iter(crew.training.model.parameters())).detach().flatten()
                weight[:1].view(torch.int32).bitwise_xor_(1)
            return result

        Crew.step = step
    run_rank(environment, command)
