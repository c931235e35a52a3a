"""``kolossos launch``: the ranks of a run, here, in a Slurm job, or in a JobSet of Kubernetes."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Where(StrEnum):
    LOCAL = "local"
    SLURM = "slurm"
    KUBERNETES = "kubernetes"


def launch(
    run: Annotated[Path, typer.Argument(help="A run file (TOML), or a run folder to go on with.", show_default=False)],
    *,
    on: Annotated[Where, typer.Option(help="local starts it; the others write what sbatch or kubectl takes.")],
    folder: Annotated[
        Path | None, typer.Option("--run", "--folder", help="Run folder.", show_default="runs/NAME")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as layout.dp_shard=4.", show_default=False)
    ] = None,
    per_node: Annotated[
        int | None, typer.Option(help="Ranks a node (GPUs it has).", show_default="all ranks on one node")
    ] = None,
    restarts: Annotated[int, typer.Option(help="How often to begin again after a crash.")] = 3,
    spares: Annotated[int, typer.Option(help="Slurm: more nodes, so that sick ones can be left out.")] = 0,
    cpus: Annotated[int, typer.Option(help="Slurm: cores a node.", show_default="the cluster's")] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="Slurm: name=value for sbatch, such as partition=gpu.", show_default=False)
    ] = None,
    image: Annotated[str | None, typer.Option(help="Kubernetes: one with Kolossos in it.", show_default=False)] = None,
    volume: Annotated[
        list[str] | None, typer.Option(help="Kubernetes: claim:/path, for data and runs.", show_default=False)
    ] = None,
    gpus: Annotated[bool, typer.Option(help="Kubernetes: a GPU for each rank.")] = True,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="NAME.sbatch or NAME.jobset.yaml")
    ] = None,
) -> None:
    """Start a run on as many ranks as its layout has, or write the job that does.

    Exit codes of local are those of `kolossos train`: 0 finished, 2 refused, 75 stopped by a signal and saved.
    """
    from kolossos.errors import InputError
    from kolossos.files import write_whole
    from kolossos.launch.job import job_of, training_arguments, with_replicas
    from kolossos.train.lifecycle.request import request_run

    request = request_run(run, overrides or [], folder=folder, processes=None)
    spec = request.spec
    training = training_arguments(run, overrides or [], request.path)
    ranks = spec.layout.world_size
    job = job_of(spec.name, training, ranks, per_node=per_node, restarts=restarts, spares=spares)
    if on is Where.LOCAL:
        from kolossos.launch.local import run_here, run_replicas_here

        if spec.survival.replicas:
            sys.exit(run_replicas_here(spec, training, request.path, restarts))
        sys.exit(run_here(job))
    if spec.survival.replicas:
        job = with_replicas(job, spec, request.path)
    if on is Where.SLURM:
        from kolossos.launch.slurm import slurm_script

        path = out or Path(f"{job.name}.sbatch")
        text = slurm_script(job, options=option or [], folder=f"{path.resolve()}.health", cpus=cpus)
        then = f"sbatch {path}"
    else:
        from kolossos.launch.kubernetes import manifest

        if image is None:
            raise InputError("--on kubernetes needs --image, an image in which Kolossos is installed")
        path = out or Path(f"{job.name}.jobset.yaml")
        text, then = manifest(job, image=image, volumes=volume or [], gpus=gpus), f"kubectl apply -f {path}"
    write_whole(path, text)
    print(f"{path}: {job.ranks} ranks on {job.nodes} nodes of {job.per_node}; start it with: {then}", file=sys.stderr)
