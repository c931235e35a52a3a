"""Zero-bubble H1 (arXiv:2401.10241, section 3.1): 1F1B whose weight gradients are passes of their own, which stage s
puts off by s micro-batches, so that they fill what was bubble."""

from typing import ClassVar

from kolossos.plan.columns import Column
from kolossos.plan.schedules.one_forward_one_backward import OneForwardOneBackward, stage_order
from kolossos.plan.schedules.schedule import Mask, Orders
from kolossos.plan.schedules.tasks import BACKWARD, WEIGHT, Task


class ZeroBubble(OneForwardOneBackward):
    """The closed form and the memory of 1F1B, with weight gradients apart."""

    name: ClassVar[str] = "zero-bubble"
    splits_backward = True
    needs = "a pipeline of undivided stages"
    right = "pp > 1 and vp = 1"

    def allows(self, pp: Column, vp: Column) -> Mask:
        """H1 is of undivided stages."""
        return (pp > 1) & (vp == 1)

    def orders(self, pp: int, vp: int, n_micro: int) -> list[Orders]:
        """Put off; and at once, for stages so uneven that putting off loses: gradients then still leave a stage before
        its weight gradients are made."""
        plain = [stage_order(stage, pp, vp, n_micro) for stage in range(pp)]
        return [
            [put_off(order, stage) for stage, order in enumerate(plain)],
            [put_off(order, 0) for order in plain],
        ]


def put_off(order: list[Task], by: int) -> list[Task]:
    """``order`` with the weight gradients trailing their backward by ``by`` micro-batches."""
    waiting: list[Task] = []
    trailing: list[Task] = []
    for task in order:
        trailing.append(task)
        if task.direction == BACKWARD:
            waiting.append(task._replace(direction=WEIGHT))
            if len(waiting) > by:
                trailing.append(waiting.pop(0))
    return trailing + waiting


SCHEDULE = ZeroBubble()
