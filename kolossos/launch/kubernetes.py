"""A job as a JobSet (https://jobset.sigs.k8s.io, jobset.x-k8s.io/v1alpha2): one indexed Job, a pod a node.

Replicas that come and go are jobs of their own beside the coordinator's (`_of_replicas`). A pod that ends with REFUSED
fails the whole at once; any other failure, a stop (75) among them, starts all pods again.
"""

import re
from typing import Any

import yaml

from kolossos.errors import InputError
from kolossos.launch.job import PORT, REFUSED, SPARE_TIME_S, Job, ReplicaJob

VOLUME = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?):(/[^:\s]+)")
WORKERS, COORDINATOR, REPLICAS = "workers", "coordinator", "replicas"
JOB_INDEX = "jobset.sigs.k8s.io/job-index"
MANY = 1_000_000
"""A pod of a replica that comes and goes is no loss; one that comes too often is given up by the coordinator."""


def jobset(job: Job, *, image: str, volumes: list[str], gpus: bool = True) -> dict[str, Any]:
    """The manifest. volumes: claims and where they are mounted, ``claim:/path``. gpus: a GPU (NVIDIA) for each rank.

    Raises:
        InputError: a volume that is not ``claim:/path``.
    """
    if job.replicas is not None:
        return _of_replicas(job, job.replicas, image, _claims(volumes), gpus)
    claims = _claims(volumes)
    arguments = [
        *(f"--nodes={job.nodes}", f"--per-node={job.per_node}", "--index=$JOB_COMPLETION_INDEX"),
        *(f"--meet={job.name}-{WORKERS}-0-0.{job.name}:{PORT}", f"--job={job.name}", "--", "train", *job.training),
    ]
    pod = _pod(image, "kolossos.launch.node", arguments, claims, job.per_node if gpus else 0)
    return _jobset(job, [_job(WORKERS, 1, job.nodes, pod)])


def _of_replicas(job: Job, each: ReplicaJob, image: str, claims: list[tuple[str, str]], gpus: bool) -> dict[str, Any]:
    """The coordinator in a pod of its own, and a job a replica whose pods are made again when they end.

    The set has succeeded when the coordinator has; if that fails all begin again.
    """
    address = f"{job.name}-{COORDINATOR}-0-0.{job.name}:{PORT}"
    limits = [f"--silent={each.silent_s:g}", f"--stuck={each.stuck_s:g}", f"--restarts={job.restarts}"]
    ranks = each.nodes * job.per_node
    counts = [f"--replicas={each.count}", f"--ranks={ranks}", f"--nodes={each.nodes}"]
    coordinator = [each.folder, f"--address={address}", *counts, *limits]
    agent = [
        *(f"--coordinator={address}", "--replica=$KOLOSSOS_REPLICA", f"--replicas={each.count}"),
        *(f"--nodes={each.nodes}", f"--per-node={job.per_node}", "--index=$JOB_COMPLETION_INDEX"),
        *("--address=$POD_ADDRESS", f"--lease={each.silent_s:g}", "--", "train", *job.training),
    ]
    pod = _pod(image, "kolossos.launch.agent", agent, claims, job.per_node if gpus else 0)
    fields = {"KOLOSSOS_REPLICA": f"metadata.labels['{JOB_INDEX}']", "POD_ADDRESS": "status.podIP"}
    pod["containers"][0]["env"] += [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()
    ]
    replicas = _job(REPLICAS, each.count, each.nodes, pod, again=MANY)
    first = _job(COORDINATOR, 1, 1, _pod(image, "kolossos.launch.coordinate", coordinator, claims, 0))
    made = _jobset(job, [first, replicas])
    made["spec"]["successPolicy"] = {"operator": "All", "targetReplicatedJobs": [COORDINATOR]}
    return made


def _claims(volumes: list[str]) -> list[tuple[str, str]]:
    mounts = [VOLUME.fullmatch(volume) for volume in volumes]
    for volume, match in zip(volumes, mounts, strict=True):
        if match is None:
            raise InputError(f"{volume!r}: expected claim:/path, a PersistentVolumeClaim and where it is mounted")
    return [(match[1], match[3]) for match in mounts if match]


def _pod(image: str, module: str, arguments: list[str], claims: list[tuple[str, str]], gpus: int) -> dict[str, Any]:
    container = {
        "name": "ranks",
        "image": image,
        "command": ["python", "-m", module],
        "args": arguments,
        "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
        "ports": [{"containerPort": PORT}],
        "volumeMounts": [
            *({"name": claim, "mountPath": path} for claim, path in claims),
            {"name": "shared-memory", "mountPath": "/dev/shm"},
        ],
        **({"resources": {"limits": {"nvidia.com/gpu": gpus}}} if gpus else {}),
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": SPARE_TIME_S,
        "containers": [container],
        "volumes": [
            *({"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim, _ in claims),
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }


def _job(name: str, count: int, pods: int, pod: dict[str, Any], *, again: int = 0) -> dict[str, Any]:
    """``count`` indexed jobs of ``pods`` pods each, one of which may be made ``again`` so often when it ends."""
    refused = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [REFUSED]}}
    template = {
        "parallelism": pods,
        "completions": pods,
        "completionMode": "Indexed",
        "backoffLimit": again,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [refused]},
        "template": {"spec": pod},
    }
    return {"name": name, "replicas": count, "template": {"spec": template}}


def _jobset(job: Job, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": job.name},
        "spec": {
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            "failurePolicy": {
                "maxRestarts": job.restarts,
                "rules": [{"name": "refused", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
            },
            "replicatedJobs": jobs,
        },
    }


def manifest(job: Job, *, image: str, volumes: list[str], gpus: bool = True) -> str:
    """The JobSet as YAML. Kubernetes reads ``$(NAME)`` in arguments, and ``$$`` as a dollar: all are doubled."""
    made = jobset(job, image=image, volumes=volumes, gpus=gpus)
    for one in made["spec"]["replicatedJobs"]:
        container = one["template"]["spec"]["template"]["spec"]["containers"][0]
        container["args"] = [argument.replace("$", "$$") for argument in container["args"]]
    head = "# Written by `kolossos launch --on kubernetes`; `kubectl apply -f` takes it where JobSet is installed.\n"
    return head + yaml.safe_dump(made, sort_keys=False, width=120)
