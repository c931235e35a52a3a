"""What the form of the soft cap costs FlexAttention on one GPU: tanh, and the same by one exp.

python benchmarks/gpu/soft_cap.py

Forward and backward of one layer at grok-mini's shape (8 x 2,048, documents of 700), and how far each is from the same
in fp64.
"""

import statistics
import sys

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from kolossos.model.attention.flex import block_mask

SEQUENCES, LENGTH, HEADS, KV_HEADS, WIDTH, CAP, SCALE = 8, 2048, 16, 4, 64, 30.0, 64**-0.5
FORMS = {
    "no cap": None,
    "tanh": lambda s, *_: CAP * torch.tanh(s / CAP),
    "exp": lambda s, *_: CAP * (1 - 2 / (1 + torch.exp(s * (2 / CAP)))),
    "sigmoid": lambda s, *_: 2 * CAP * torch.sigmoid(s * (2 / CAP)) - CAP,
}


def exact(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> Tensor:
    """The first two sequences in fp64."""
    q, k, v = (x[:2].double() for x in (q, k, v))
    k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
    at = torch.arange(LENGTH, device=q.device)
    seen = (at[:, None] >= at) & (at >= first[:2, :, None])
    logits = CAP * torch.tanh(q @ k.transpose(2, 3) * SCALE / CAP)
    return logits.masked_fill(~seen[:, None], float("-inf")).softmax(-1) @ v


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    print(torch.cuda.get_device_name())
    torch.manual_seed(0)
    shapes = [(SEQUENCES, heads, LENGTH, WIDTH) for heads in (HEADS, KV_HEADS, KV_HEADS, HEADS)]
    q, k, v, d_out = (3 * torch.randn(shape, device="cuda", dtype=torch.bfloat16) for shape in shapes)
    borders = torch.rand(SEQUENCES, LENGTH, device="cuda") < 1 / 700
    first = torch.where(borders, torch.arange(LENGTH, device="cuda"), 0).cummax(1).values.float()
    blocks, true = block_mask(LENGTH, first, q.device), exact(q, k, v, first)
    for name, form in FORMS.items():
        torch._dynamo.reset()
        attention = torch.compile(flex_attention, dynamic=False)
        inputs = [x.detach().requires_grad_() for x in (q, k, v)]
        times: dict[str, list[float]] = {"forward": [], "backward": []}
        out = torch.empty(0)
        for _ in range(12):
            marks = [torch.cuda.Event(enable_timing=True) for _ in range(3)]
            marks[0].record()
            out = attention(*inputs, score_mod=form, block_mask=blocks, scale=SCALE, enable_gqa=True)
            assert isinstance(out, Tensor)
            marks[1].record()
            out.backward(d_out)
            marks[2].record()
            torch.cuda.synchronize()
            times["forward"].append(marks[0].elapsed_time(marks[1]))
            times["backward"].append(marks[1].elapsed_time(marks[2]))
        error = ((out[:2].double() - true).norm() / true.norm()).item() if form else float("nan")
        shown = ", ".join(f"{what} {statistics.median(ms[4:]):.3f} ms" for what, ms in times.items())
        print(f"{name:<8} {shown}, relative error {error:.2e}", flush=True)


if __name__ == "__main__":
    main()
