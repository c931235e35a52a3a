"""Pipeline parallelism: a rank has some layers, and micro-batches pass through the ranks of pp one behind the other.

The schedules are torch's (torch.distributed.pipelining). The router's losses stay on the stage that has the layers:
`_WithLoss` gives them their gradient when that of the stage's output comes back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kolossos.model.decoder import Decoder, RouterLosses
from kolossos.model.experts.gated import Experts
from kolossos.model.held import held_tensor
from kolossos.model.linear import Linear
from kolossos.model.part import ModelPart
from kolossos.parallel.coordinates import coordinates_of, layers_of_stages
from kolossos.parallel.mesh import Meshes
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

if TYPE_CHECKING:  # torch.distributed.pipelining loads the compiler: a second that only a pipeline has to wait for
    from torch.distributed.pipelining import PipelineStage
    from torch.distributed.pipelining.schedules import _PipelineSchedule


def parts_of_rank(spec: ModelSpec, layout: Layout, rank: int) -> list[ModelPart]:
    """The parts of the model that ``rank`` holds, one a chunk (vp)."""
    stages = layers_of_stages(spec.n_layers, layout.pp * layout.vp)
    first = coordinates_of(layout, rank)["pp"]
    numbers = range(first, len(stages), layout.pp)
    return [ModelPart(stages[n], first=n == 0, last=n == len(stages) - 1) for n in numbers]


@dataclass(frozen=True)
class Passed:
    """What came of the micro-batches of a step on this rank: the loss and, by layer that is here, the router's."""

    losses: list[Tensor]
    routers: list[tuple[ModelPart, RouterLosses]]


class Pipeline:
    """The stages that this rank holds of a model, and torch's schedules over them.

    ends: the first and the last rank of the pipeline, where they share a tied embedding.
    """

    def __init__(self, parts: Sequence[Decoder], layout: Layout, meshes: Meshes, dtype: torch.dtype):
        self._layout, self._dtype = layout, dtype
        self._group = meshes.ranks["pp"].get_group()
        self._stages = [_Stage(part, dtype) for part in parts]
        for module in (module for part in parts for module in part.modules()):
            if isinstance(module, Linear | Experts):
                module.cast_again = True
        self._first = meshes.place["pp"]
        self._schedules: dict[tuple[int, bool], tuple[_PipelineSchedule, list[PipelineStage]]] = {}
        tied = parts[0].spec.tied_embeddings
        self._tied = [part.embedding for part in parts if tied and (part.part.first or part.part.last)]
        self.ends = _group_of_ends(layout, meshes.rank) if tied else None

    @property
    def has_last(self) -> bool:
        """Whether the loss is computed here."""
        return self._stages[-1].decoder.part.last

    def forward_backward(
        self,
        tokens_BS: Tensor,
        targets_BS: Tensor,
        document_BS: Tensor | None,
        passes: int,
        loss: Callable[[Tensor], Tensor],
        router_loss: Callable[[RouterLosses], Tensor],
    ) -> Passed:
        """Forward and backward of ``passes`` micro-batches, given one behind the other, on all stages together.

        Args:
            loss: from the nats of a micro-batch to what is minimised. router_loss: the same of the router's losses.
        """
        decoder = self._stages[-1].decoder
        routers: list[tuple[ModelPart, RouterLosses]] = []
        for stage in self._stages:
            stage.router_loss, stage.routers = router_loss, routers
        losses: list[Tensor] = []
        schedule = self._schedule(passes, tokens_BS, lambda hidden, targets: loss(decoder.loss(hidden, targets)))
        self._run(schedule.step, tokens_BS, targets_BS, document_BS, losses)
        for stage in self._stages:
            stage.router_loss, stage.routers = None, None
        return Passed([x.detach() for x in losses], routers)

    @torch.no_grad()
    def nats(self, tokens_BS: Tensor, targets_BS: Tensor, document_BS: Tensor | None) -> Tensor:
        """The loss of one micro-batch (sum) without backward; zero on ranks that have not the last stage."""
        decoder = self._stages[-1].decoder
        losses: list[Tensor] = []
        schedule = self._schedule(1, tokens_BS, decoder.loss)
        self._run(schedule.eval, tokens_BS, targets_BS, document_BS, losses)
        return torch.stack(losses).sum() if losses else torch.zeros((), device=tokens_BS.device)

    def _run(
        self,
        step: Callable[..., Any],
        tokens_BS: Tensor,
        targets_BS: Tensor,
        document_BS: Tensor | None,
        losses: list[Tensor],
    ) -> None:
        first = (tokens_BS,) if self._stages[0].decoder.part.first else ()
        last = {"target": targets_BS, "losses": losses} if self.has_last else {}
        documents = {} if document_BS is None else {"document_BS": document_BS}
        step(*first, **last, **documents)

    def _schedule(
        self, passes: int, tokens_BS: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> "_PipelineSchedule":
        """The schedule of ``passes`` micro-batches with this loss; stages keep buffers, so each number has its own."""
        from torch.distributed import pipelining

        key = passes, torch.is_grad_enabled()
        if key not in self._schedules:
            stages = [
                self._stage(number, stage, tokens_BS.shape[0] // passes, tokens_BS)
                for number, stage in zip(
                    range(self._first, self._layout.pp * self._layout.vp, self._layout.pp), self._stages, strict=True
                )
            ]
            if self._layout.vp > 1:
                kind = pipelining.ScheduleInterleaved1F1B if torch.is_grad_enabled() else pipelining.ScheduleLoopedBFS
                made = kind([*stages], passes, loss_fn=loss, scale_grads=False)
            else:
                kind = pipelining.Schedule1F1B if torch.is_grad_enabled() else pipelining.ScheduleGPipe
                made = kind(stages[0], passes, loss_fn=loss, scale_grads=False)
            self._schedules[key] = made, stages
        schedule = self._schedules[key][0]
        schedule._loss_fn = loss
        return schedule

    def _stage(self, number: int, stage: "_Stage", batch: int, tokens_BS: Tensor) -> "PipelineStage":
        from torch.distributed.pipelining import PipelineStage

        decoder = stage.decoder
        grad = torch.is_grad_enabled()
        hidden = (batch, tokens_BS.shape[1] // decoder.cut.ways, decoder.spec.dim)

        def residual() -> Tensor:
            return torch.empty(hidden, dtype=self._dtype, device="meta", requires_grad=grad)

        ids = torch.empty(batch, tokens_BS.shape[1], dtype=torch.int64, device="meta")
        return PipelineStage(
            stage,
            number,
            self._layout.pp * self._layout.vp,
            tokens_BS.device,
            input_args=ids if decoder.part.first else residual(),
            output_args=residual(),
            group=self._group,
        )

    def add_up_tied(self) -> None:
        """The first and the last stage each have a part of the gradient of a tied embedding: both get the sum."""
        for embedding in self._tied:
            gradient = embedding.weight.grad
            assert gradient is not None
            dist.all_reduce(held_tensor(gradient), group=self.ends)


def _group_of_ends(layout: Layout, rank: int) -> dist.ProcessGroup | None:
    """The group of this rank with its like at the other end of the pipeline; None in the middle."""
    per_stage = layout.world_size // layout.pp
    stage, place = divmod(rank, per_stage)
    if stage not in (0, layout.pp - 1):
        return None
    group = dist.new_group([place, place + (layout.pp - 1) * per_stage], use_local_synchronization=True)
    assert isinstance(group, dist.ProcessGroup)
    return group


class _Stage(nn.Module):
    """A part of the decoder as torch's stages want it: one tensor in, one out."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype):
        super().__init__()
        self.decoder, self.dtype = decoder, dtype
        self.router_loss: Callable[[RouterLosses], Tensor] | None = None
        self.routers: list[tuple[ModelPart, RouterLosses]] | None = None

    def forward(self, x: Tensor, document_BS: Tensor | None = None) -> Tensor:
        hidden_BSD, router = self.decoder(x, dtype=self.dtype, document_BS=document_BS)
        if router is None or self.router_loss is None or self.routers is None:
            return hidden_BSD
        loss = self.router_loss(router)
        self.routers.append((self.decoder.part, router))
        return _WithLoss.apply(hidden_BSD, loss)  # type: ignore[return-value]


class _WithLoss(torch.autograd.Function):
    """Hidden states as they are; when their gradient comes the ``loss`` gets a gradient of one."""

    @staticmethod
    def forward(ctx: Any, hidden_BSD: Tensor, loss: Tensor) -> Tensor:
        ctx.save_for_backward(loss)
        return hidden_BSD.view_as(hidden_BSD)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (loss,) = ctx.saved_tensors
        return grads[0], torch.ones_like(loss)
