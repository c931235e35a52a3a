"""Starting or continuing a run from the command line, and showing it."""

import json as json_format
from collections.abc import Callable
from pathlib import Path

import torch
import typer

from kolossos.cli.training_display import TrainingDisplay
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.model.decoder import Decoder
from kolossos.serve.complete import complete
from kolossos.serve.options import GenerationOptions
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.environment import environment
from kolossos.train.loop import Loop, Outcome, seconds_per_step
from kolossos.train.peak import measured_peak_flops
from kolossos.train.plot import plot_run
from kolossos.train.run_folder import RunFolder
from kolossos.train.setup import Training, open_corpus, prepare_training
from kolossos.train.waiting import free_threads


def run_training(
    run: Path,
    overrides: list[str],
    folder: Path | None,
    minutes: float | None,
    fresh: bool,
    busy_cores: float,
    json: bool,
) -> None:
    """See `kolossos.cli.train.train`. ``busy_cores``: cores that other programs use now."""
    if minutes is not None and minutes <= 0:
        raise InputError(f"--minutes {minutes}: expected a number above 0")
    existing, spec = _existing_and_spec(run, overrides, folder, minutes, fresh)
    if existing is None and spec.compute.threads == 0:  # a run keeps its number of threads: others make other sums
        overrides = [*overrides, f"compute.threads={free_threads(torch.get_num_threads(), busy_cores)}"]
        spec = load_run(run, overrides)
    if existing is not None and existing.is_finished():
        TrainingDisplay.say_plainly(f"{existing.path} is finished already, nothing to do; --fresh begins again")
        return _report(existing, Outcome(spec.schedule.steps, True, 0.0, existing.last_evaluation()), json)
    training = prepare_training(spec)
    if existing is None:
        if minutes is not None:
            training.spec = spec = _fit_to_time(training, run, overrides, minutes)
        path = folder or Path("runs") / spec.name
        if fresh and path.exists():
            RunFolder.open(path).remove()
        existing = RunFolder.create(path, spec, training.corpus.tokenizer_path)
        TrainingDisplay.say_plainly(f"new run in {path}: {spec.model.name}, {spec.schedule.steps:,} steps")
    peak = measured_peak_flops(training.device, training.dtype)
    facts = environment(training.device, peak, training.compiled)
    write_whole(existing.path / "environment.json", json_format.dumps(facts, indent=1))
    if training.compiled.startswith("off:"):
        TrainingDisplay.say_plainly(f"torch.compile is {training.compiled}")
    with TrainingDisplay(spec) as display:
        outcome = Loop(training, existing, peak, display, _sampler(existing, spec)).run()
    plot_run(existing.metrics_path, existing.path / "plots" / "loss.png", spec.name)
    _report(existing, outcome, json)


def _existing_and_spec(
    run: Path, overrides: list[str], folder: Path | None, minutes: float | None, fresh: bool
) -> tuple[RunFolder | None, RunSpec]:
    """The run to go on with, if there is one, and the spec to follow; bad input is found before anything is written."""
    if run.is_dir():
        if fresh or minutes is not None:
            raise InputError(f"{run} is a run folder: --fresh and --minutes need the run file (TOML) it was made from")
        existing = RunFolder.open(run)
        spec = load_run(run / "run.toml", overrides) if overrides else existing.spec
        existing.adopt(spec)
        return existing, existing.spec
    spec = load_run(run, overrides)
    path = folder or Path("runs") / spec.name
    if fresh or not path.exists():
        open_corpus(spec)
        return None, spec
    existing = RunFolder.open(path)
    if minutes is not None:  # the number of steps was chosen when the run began
        chosen = existing.spec.schedule
        spec = load_run(run, [*overrides, *_step_overrides(chosen.steps, chosen.warmup_steps)])
    existing.adopt(spec)
    return existing, existing.spec


def _fit_to_time(training: Training, run: Path, overrides: list[str], minutes: float) -> RunSpec:
    """The spec with as many steps as fit into ``minutes``; warm-up keeps its share."""
    TrainingDisplay.say_plainly("compiling, then timing the first steps")
    steps = max(10, round(60 * minutes / seconds_per_step(training)))
    before = training.spec.schedule
    warmup = max(1, round(before.warmup_steps * steps / before.steps)) if before.warmup_steps else 0
    return load_run(run, [*overrides, *_step_overrides(steps, warmup)])


def _step_overrides(steps: int, warmup_steps: int) -> list[str]:
    return [f"schedule.steps={steps}", f"schedule.warmup_steps={warmup_steps}"]


def _sampler(folder: RunFolder, spec: RunSpec) -> Callable[[Decoder], str]:
    """Writes the run's sample text with the model as it stands, without compiling for generation."""
    tokenizer = Tokenizer.load(folder.tokenizer_path)
    prompt = spec.evaluate.sample_prompt
    options = GenerationOptions(max_new_tokens=max(1, spec.evaluate.sample_tokens), seed=spec.seed)

    def sample(model: Decoder) -> str:
        was_training = model.training
        model.eval()
        with torch.compiler.set_stance("force_eager"):
            made = complete(model, tokenizer, [prompt], options)
        model.train(was_training)
        return prompt + made.completions[0].text

    return sample


def _report(folder: RunFolder, outcome: Outcome, json: bool) -> None:
    path = folder.path
    if json:
        values = {"run": str(path), "step": outcome.step, "finished": outcome.finished, "seconds": outcome.seconds}
        if outcome.evaluation is not None:
            values["validation_loss"] = outcome.evaluation.loss
            values["bits_per_byte"] = outcome.evaluation.bits_per_byte
        typer.echo(json_format.dumps(values))
        return
    if not outcome.finished:
        typer.echo(f"stopped and saved at step {outcome.step:,}; go on with: kolossos train {path}")
        return
    typer.echo(f"finished after {outcome.step:,} steps; plot: {path}/plots/loss.png")
    typer.echo(f"chat with it: kolossos chat {path}")
