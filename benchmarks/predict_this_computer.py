"""One training step on this computer, as `plan` predicts it from a calibrated hardware file, against the real step.

    kolossos calibrate --out this.toml
    python benchmarks/predict_this_computer.py this.toml                          # tiny-dense and grok-nano
    python benchmarks/predict_this_computer.py this.toml --models tiny-dense --json

The kernels are those of `kolossos.plan.kernels.measured`, put in the place of the card tables for this process. The
software has no fitted figure: each tensor moved once, 60 small operations a layer at their measured overhead, nothing
overlapped. So the error shown is that of hardware file and step model together, before any fit.
"""

import json
import os
import statistics
import time
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
PARTS = ("matmul", "attention", "elementwise", "overhead", "optimizer")
OPERATIONS_A_LAYER = 60
"""Small operations of a layer, forward and backward, that a compiled layer still starts one by one: an estimate."""


def main(
    hardware: Annotated[Path, typer.Argument(help="A file of `kolossos calibrate`.")],
    *,
    models: Annotated[str, typer.Option(help="Names of the catalogue, comma-separated.")] = "tiny-dense,grok-nano",
    precisions: Annotated[str, typer.Option(help="bf16, fp32 or both.")] = "bf16",
    seq_len: int = 256,
    micro_batch_size: int = 8,
    steps: Annotated[int, typer.Option(help="Timed steps, after three to warm up.")] = 12,
    compile_layers: Annotated[bool, typer.Option("--compile/--no-compile")] = True,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Predict, train a few steps, compare."""
    rows = []
    for name in models.split(","):
        for precision in precisions.split(","):
            predicted = predict(hardware, name, precision, seq_len, micro_batch_size)
            measured = measure(name, precision, seq_len, micro_batch_size, steps, compile_layers, hardware)
            rows.append({"model": name, "precision": precision, "predicted_s": predicted, **measured})
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        predicted, best, median = row["predicted_s"]["step"], row["best_s"], row["median_wall_s"]
        print(
            f"{row['model']}, {row['precision']}: predicted {predicted:.3f} s, measured {best:.3f} s (best step; ",
            end="",
        )
        print(f"median by the wall {median:.3f} s): predicted / best = {predicted / best:.2f}")
        print("  " + ", ".join(f"{part} {row['predicted_s'][part]:.4f}" for part in PARTS))


def predict(hardware: Path, name: str, precision: str, seq_len: int, micro_batch_size: int) -> dict[str, float]:
    """Seconds of the step and of its parts, from the planner's own step model."""
    from kolossos.plan.closed_form import layer_kernels
    from kolossos.plan.closed_form.step import step_seconds
    from kolossos.plan.columns import LayoutColumns, ModelColumns
    from kolossos.plan.kernels.measured import measured_attention_seconds, measured_product_seconds
    from kolossos.plan.rates.hardware import HardwareColumns
    from kolossos.plan.rates.software import SoftwareColumns
    from kolossos.plan.setting import Setting
    from kolossos.specs.catalogue import load_gpu, load_model
    from kolossos.specs.cluster import FabricSpec
    from kolossos.specs.layout import Layout

    gpu = load_gpu(str(hardware))
    if gpu.measured is None:
        raise typer.BadParameter(f"{hardware} holds nothing measured; `kolossos calibrate` writes such a file")
    measured = gpu.measured

    def products(_card: Any, m: Any, n: Any, k: Any, batch: Any = 1, **_: Any) -> Any:
        return measured_product_seconds(gpu, precision, m, n, k, batch)

    def attention(_card: Any, batch: Any, length: Any, *sizes: Any, backward: bool = False, **_: Any) -> Any:
        _window, _chunked, *rest = sizes  # a model that sees everything
        return measured_attention_seconds(gpu, precision, batch, length, length, *rest, backward=backward)

    layer_kernels.matmul_seconds, layer_kernels.windowed_attention_seconds = products, attention
    layout = Layout(
        seq_len=seq_len,
        micro_batch_size=micro_batch_size,
        global_batch_size=micro_batch_size,
        precision="bf16" if precision == "bf16" else "fp32",
        sharding="none",
    )
    setting = Setting(
        model=ModelColumns.of(load_model(name)),
        hardware=HardwareColumns.of(gpu, 1, FabricSpec(), **rates_as_measured()),
        software=SoftwareColumns.of(software(measured.operation_s)),
        layout=LayoutColumns.of(layout),
        sequence_parallel=np.zeros(()),
    )
    kernels = layer_kernels.layer_kernels(setting.model, setting.hardware, setting.layout)
    step = step_seconds(kernels, setting)
    return {field.name: float(getattr(step, field.name)) for field in fields(step)}


def rates_as_measured() -> dict[str, Any]:
    """Rates that leave every figure of the hardware file as it is."""
    from kolossos.specs.gpu_family import CardRates, LinkRates

    ones = dict.fromkeys(CardRates.model_fields, 1.0)
    return {"rates": CardRates(**ones), "links": LinkRates(nvlink_efficiency=1.0, fabric_efficiency=1.0)}


def software(operation_s: float) -> Any:
    """Our own trainer in one process: facts, and no fitted figure."""
    from kolossos.plan.rates.software import SoftwareGeneration

    values: dict[str, Any] = {
        "match": ["kolossos"],
        "schedules": ["1f1b"],
        "flash_attention": True,
        **dict.fromkeys(("tp_overlap", "dp_overlap", "pp_overlap"), False),
        **dict.fromkeys(("attention_scale", "elementwise_passes", "expert_passes", "quantize_passes"), 1.0),
        **dict.fromkeys(("micro_batch_overhead_s", "shard_overhead_s", "step_overhead_s", "jitter"), 0.0),
        "layer_overhead_s": OPERATIONS_A_LAYER * operation_s,
    }
    return SoftwareGeneration(**{key: value for key, value in values.items() if key in SoftwareGeneration.model_fields})


def measure(
    name: str, precision: str, seq_len: int, batch: int, steps: int, compile_layers: bool, hardware: Path
) -> dict[str, Any]:
    """Seconds of the trainer's step on random tokens: the best, timed as `calibrate` does; the median by the wall."""
    import torch

    from kolossos.calibrate.clock import Clock
    from kolossos.model.decoder import Decoder
    from kolossos.model.init import initialize
    from kolossos.specs.catalogue import load_gpu, load_model
    from kolossos.specs.run import LossSpec, OptimizerSpec
    from kolossos.train.compiling import compile_training
    from kolossos.train.optimizer import Optimizer
    from kolossos.train.precision import compute_dtype
    from kolossos.train.step import MicroBatch, train_step

    known = load_gpu(str(hardware)).measured
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if known and device.type == "cpu":
        torch.set_num_threads(known.threads)
    spec = load_model(name)
    with torch.device("meta"):
        model = Decoder(spec)
    model = initialize(model.to_empty(device=device), 0).train()
    compiled = compile_training(model, "auto" if compile_layers else "off", device)
    optimizer = Optimizer(model, OptimizerSpec())
    tokens = torch.randint(spec.vocab_size, (batch, seq_len + 1), device=device)
    data = [MicroBatch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())]

    def step() -> None:
        dtype = compute_dtype(precision)
        train_step(
            model, optimizer, data, n_targets=tokens[:, 1:].numel(), losses=LossSpec(), dtype=dtype, lr_factor=1.0
        )

    clock, best, walls = Clock(device), [], []
    for index in range(3 + steps):
        start = time.perf_counter()
        seconds = clock.seconds(step)
        if index >= 3:
            best.append(seconds)
            walls.append(time.perf_counter() - start)
    return {"best_s": min(best), "median_s": statistics.median(best), "median_wall_s": statistics.median(walls),
            "compiled": compiled}  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
