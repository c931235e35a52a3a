"""A run folder as the subject of a report."""

import json
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.report.run_files import environment, manifest_path, run_spec, tokenizer_sha256, training_steps
from kolossos.report.subject import Figure, Subject
from kolossos.runs.goodput import read_goodput
from kolossos.runs.paths import RunPaths
from kolossos.runs.step_times import times_of_ranks
from kolossos.specs.catalogue import load_gpu, names
from kolossos.specs.cluster import PowerSpec
from kolossos.specs.draw import UNMEASURED_SHARES_OF_TDP
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.run import RunSpec

CPU_WATTS_PER_THREAD = (4.0, 9.0, 16.0)
"""Low, middle, high draw of one busy core with its share of the machine: server processors of 350 to 500 W with 56 to
128 cores, and a laptop's 30 to 60 W with 4 to 8. Our estimate."""
JOULES_PER_KWH = 3.6e6


def read_run(folder: Path) -> Subject:
    """The run in ``folder``; InputError if it is no run folder, or no step was done yet."""
    spec, events, machine = run_spec(folder), training_steps(folder), environment(folder)
    per_step = spec.layout.global_batch_size * spec.layout.seq_len
    seconds = Figure(
        sum(float(e.get("step_s", 0.0)) for e in events), "s", "measured",
        "sum of the training steps that were kept; without start-up, validation and checkpoints",
    )  # fmt: skip
    gpu = _gpu(str(machine.get("device", "")))
    energy = _energy(events, seconds.value or 0.0, spec, machine, gpu)
    done, steps = int(events[-1]["step"]), spec.schedule.steps
    goodput = read_goodput(RunPaths(folder).time)
    again = f"there were {goodput.steps_redone:,}" if goodput else "how often that was is not recorded"
    remarks = [f"Steps that were computed again after an interruption are counted once: {again}."]
    return Subject(
        kind="run",
        name=spec.name,
        path=str(folder),
        state=f"finished: {done:,} steps" if done >= steps else f"unfinished: step {done:,} of {steps:,}",
        model=spec.model,
        tokens=float(events[-1]["tokens"]),
        tokens_intended=float(steps * per_step),
        seq_len=spec.layout.seq_len,
        recompute=spec.layout.recompute,
        precision=spec.layout.precision,
        given_model_flops=None,
        n_gpus=spec.layout.world_size if gpu else 0,
        hardware=_hardware(machine, spec),
        seconds=seconds,
        energy=energy,
        cost=_cost(energy, seconds.value or 0.0, spec, gpu),
        carbon=_carbon(energy),
        data=_data(spec, folder, float(events[-1]["tokens"])),
        layout=spec.layout.model_dump(),
        remarks=remarks,
        goodput=goodput,
        step_times=times_of_ranks(folder, spec.layout.world_size),
    )


def _gpu(device: str) -> GpuSpec | None:
    """The catalogue's GPU that the device's name names, if any: "NVIDIA H100 80GB HBM3" is h100."""
    words = device.lower().replace("-", " ").split()
    found = [name for name in names("gpus") if name.split("-")[0] in words]
    return load_gpu(found[0]) if found else None


def _energy(
    events: list[dict[str, Any]], seconds: float, spec: RunSpec, machine: dict[str, Any], gpu: GpuSpec | None
) -> Figure:
    """Joules: measured where every step has energy_joules or power_watts, else from rated power."""
    if all("energy_joules" in e for e in events):
        return Figure(sum(float(e["energy_joules"]) for e in events), "J", "measured", "sum over the training steps")
    if all("power_watts" in e for e in events):
        joules = sum(float(e["power_watts"]) * float(e.get("step_s", 0.0)) for e in events)
        return Figure(joules, "J", "measured", "measured power times the time of each step")
    if gpu and gpu.tdp_watts:
        rated, power, n = gpu.tdp_watts, PowerSpec(), spec.layout.world_size
        low, middle, high = (
            (share * rated + power.host_watts_per_gpu) * n * power.pue * seconds for share in UNMEASURED_SHARES_OF_TDP
        )
        note = (
            f"not measured: {n} x {gpu.name} at {UNMEASURED_SHARES_OF_TDP[1]:.0%} of {rated:g} W, "
            f"{power.host_watts_per_gpu:g} W of host each, times {power.pue:g} for the site, over the steps"
        )
    else:
        threads = int(machine.get("threads") or machine.get("cores") or 1)
        low, middle, high = (watts * threads * seconds for watts in CPU_WATTS_PER_THREAD)
        note = f"not measured: {threads} busy threads at {CPU_WATTS_PER_THREAD[1]:g} W each, over the steps"
    return Figure(middle, "J", "estimated", note, low, high)


def _cost(energy: Figure, seconds: float, spec: RunSpec, gpu: GpuSpec | None) -> Figure:
    if gpu and gpu.usd_per_hour:
        n = spec.layout.world_size
        note = f"{n} x {gpu.name} rented at {gpu.usd_per_hour:g} USD an hour (the catalogue's price), over the steps"
        return Figure(n * gpu.usd_per_hour * seconds / 3600, "USD", "estimated", note)
    price = PowerSpec().usd_per_kwh
    note = f"electricity alone, at {price:g} USD/kWh; the price of the machine is not known"
    return _scaled(energy, price / JOULES_PER_KWH, "USD", note)


def _carbon(energy: Figure) -> Figure:
    intensity = PowerSpec().gco2_per_kwh
    return _scaled(
        energy, intensity / JOULES_PER_KWH / 1e3, "kg CO2e", f"at {intensity:g} g/kWh, a default, not this grid"
    )


def _scaled(figure: Figure, factor: float, unit: str, note: str) -> Figure:
    low, high = (None if v is None else v * factor for v in (figure.low, figure.high))
    return Figure(None if figure.value is None else figure.value * factor, unit, "estimated", note, low, high)


def _hardware(machine: dict[str, Any], spec: RunSpec) -> list[tuple[str, str]]:
    if not machine:
        return [("environment", "not recorded: the folder has no environment.json")]
    rows = [("ranks", str(spec.layout.world_size))]
    for key in ("device", "cores", "threads", "system", "torch", "kolossos", "compile"):
        if key in machine:
            rows.append((key, str(machine[key])))
    if isinstance(machine.get("measured_peak_flops"), int | float):
        rows.append(("measured peak of matrix products", f"{machine['measured_peak_flops']:.3g} FLOP/s"))
    return rows


def _data(spec: RunSpec, folder: Path, tokens: float) -> list[tuple[str, str]]:
    """What is known of the training data: from the manifest of the prepared folder, where that can be found."""
    rows = [("path", spec.data.path), ("tokens seen", f"{tokens:,.0f}")]
    found = manifest_path(folder, spec.data.path)
    if found is None:
        return [*rows, ("manifest", "not at hand: sources and size of the data cannot be stated")]
    try:
        manifest = json.loads(found.read_text(encoding="utf-8"))
        if tokenizer_sha256(folder) not in (None, manifest["tokenizer"]["sha256"]):
            return [*rows, ("manifest", "what lies at that path now has another tokenizer: not the data of this run")]
        train = manifest["splits"]["train"]
        rows.append(("training split", f"{train['tokens']:,} tokens, {train['documents']:,} documents"))
        rows.append(("passes over it", f"{tokens / train['tokens']:.3g}"))
        for source in manifest["sources"]:
            text = f"{source['documents']:,} documents, {source['bytes']:,} bytes, sha256 {source['sha256'][:16]}"
            rows.append((f"source {source['argument']}", text))
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in manifest["dropped"].items())
        rows.append(("left out, documents", dropped or "none"))
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        raise InputError(f"{found}: not a manifest that `kolossos data prepare` wrote") from None
    return rows
