"""A job as a JobSet (https://jobset.sigs.k8s.io, jobset.x-k8s.io/v1alpha2): one indexed Job, a pod a node.

A pod that ends with REFUSED fails the whole at once; any other failure, a stop (75) among them, starts all pods again.
"""

import re
from typing import Any

import yaml

from kolossos.errors import InputError
from kolossos.launch.job import PORT, REFUSED, SPARE_TIME_S, Job

VOLUME = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?):(/[^:\s]+)")
WORKERS = "workers"


def jobset(job: Job, *, image: str, volumes: list[str], gpus: bool = True) -> dict[str, Any]:
    """The manifest. volumes: claims and where they are mounted, ``claim:/path``. gpus: a GPU (NVIDIA) for each rank.

    Raises:
        InputError: a volume that is not ``claim:/path``.
    """
    mounts = [VOLUME.fullmatch(volume) for volume in volumes]
    for volume, match in zip(volumes, mounts, strict=True):
        if match is None:
            raise InputError(f"{volume!r}: expected claim:/path, a PersistentVolumeClaim and where it is mounted")
    claims = [(match[1], match[3]) for match in mounts if match]
    container = {
        "name": "ranks",
        "image": image,
        "command": ["python", "-m", "kolossos.launch.node"],
        "args": [
            *(f"--nodes={job.nodes}", f"--per-node={job.per_node}", "--index=$JOB_COMPLETION_INDEX"),
            *(f"--meet={job.name}-{WORKERS}-0-0.{job.name}:{PORT}", f"--job={job.name}", "--", "train", *job.training),
        ],
        "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],
        "ports": [{"containerPort": PORT}],
        "volumeMounts": [
            *({"name": claim, "mountPath": path} for claim, path in claims),
            {"name": "shared-memory", "mountPath": "/dev/shm"},
        ],
        **({"resources": {"limits": {"nvidia.com/gpu": job.per_node}}} if gpus else {}),
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": SPARE_TIME_S,
        "containers": [container],
        "volumes": [
            *({"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim, _ in claims),
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    refused = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [REFUSED]}}
    template = {
        "parallelism": job.nodes,
        "completions": job.nodes,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [refused]},
        "template": {"spec": pod},
    }
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
            "replicatedJobs": [{"name": WORKERS, "replicas": 1, "template": {"spec": template}}],
        },
    }


def manifest(job: Job, *, image: str, volumes: list[str], gpus: bool = True) -> str:
    """The JobSet as YAML. Kubernetes reads ``$(NAME)`` in arguments, and ``$$`` as a dollar: all are doubled."""
    made = jobset(job, image=image, volumes=volumes, gpus=gpus)
    container = made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]
    container["args"] = [argument.replace("$", "$$") for argument in container["args"]]
    head = "# Written by `kolossos launch --on kubernetes`; `kubectl apply -f` takes it where JobSet is installed.\n"
    return head + yaml.safe_dump(made, sort_keys=False, width=120)
