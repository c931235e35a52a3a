"""The manifest is a JobSet by the published schema, says what a failure means, and every argument arrives."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kolossos.errors import InputError
from kolossos.launch.job import job_of, with_replicas
from kolossos.launch.kubernetes import manifest
from kolossos.specs.run import RunSpec

SCHEMA = json.loads(Path(__file__).with_name("data").joinpath("jobset-v1alpha2.schema.json").read_text())
NASTY = ["a run.toml", "--set", "name='$(HOME) $$(HOME) ${HOME}: - #'"]


def strict(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server does with `kubectl apply --validate=strict`."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(part) for key, part in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made["additionalProperties"] = False
    return made


def made_of_replicas() -> dict[str, Any]:
    """Four replicas of four ranks, on two nodes each."""
    job = job_of("Grok_1", NASTY, 16, per_node=2, restarts=5)
    values = {"dp_replicate": 4, "dp_shard": 4, "global_batch_size": 16, "micro_batch_size": 1}
    spec = llama_run(values)
    return yaml.safe_load(manifest(with_replicas(job, spec, Path("/runs/a b")), image="kolossos:1", volumes=["d:/d"]))


def llama_run(layout: dict[str, int]) -> RunSpec:
    model = {"name": "m", "n_layers": 1, "dim": 8, "n_heads": 1, "n_kv_heads": 1, "head_dim": 8, "vocab_size": 64}
    survival = {"replicas": True, "silent_seconds": 7.5}
    values = {"model": {**model, "max_seq_len": 256, "ffn_dim": 8}, "layout": layout, "survival": survival}
    return RunSpec.parse({"name": "small", "data": {"path": "d"}, "schedule": {"steps": 1}, **values}, "here")


def test_replicas_are_jobs_beside_the_coordinators_and_may_come_again() -> None:
    found = made_of_replicas()
    schema = strict(SCHEMA)
    schema["properties"]["metadata"] = {"type": "object"}
    assert [f.message for f in jsonschema.validators.validator_for(schema)(schema).iter_errors(found)] == []
    first, replicas = found["spec"]["replicatedJobs"]
    assert (first["name"], first["replicas"], replicas["name"], replicas["replicas"]) == (
        "coordinator",
        1,
        "replicas",
        4,
    )
    assert found["spec"]["successPolicy"]["targetReplicatedJobs"] == ["coordinator"]
    of_first, of_replica = (one["template"]["spec"] for one in (first, replicas))
    assert (of_first["completions"], of_first["backoffLimit"]) == (1, 0)
    assert (of_replica["completions"], of_replica["backoffLimit"] > 1000) == (2, True)
    (container,), (agent,) = (one["template"]["spec"]["containers"] for one in (of_first, of_replica))
    address = "grok-1-coordinator-0-0.grok-1:29400"
    words = [expanded(argument) for argument in container["args"]]
    assert words == [
        *("/runs/a b", f"--address={address}", "--replicas=4", "--ranks=4", "--nodes=2"),
        *("--silent=7.5", "--stuck=0", "--restarts=5"),
    ]
    words = [expanded(argument) for argument in agent["args"]]
    assert words[words.index("--") + 1 :] == ["train", *NASTY]
    assert words[: words.index("--")] == [
        *(f"--coordinator={address}", "--replica=$KOLOSSOS_REPLICA", "--replicas=4", "--nodes=2", "--per-node=2"),
        *("--index=$JOB_COMPLETION_INDEX", "--address=$POD_ADDRESS", "--lease=7.5"),
    ]
    assert {entry["name"] for entry in agent["env"]} >= {"KOLOSSOS_REPLICA", "POD_ADDRESS"}


def made(volumes: list[str], *, gpus: bool = True) -> dict[str, Any]:
    job = job_of("Grok_1", NASTY, 16, per_node=8, restarts=5)
    return yaml.safe_load(manifest(job, image="registry/kolossos:1", volumes=volumes, gpus=gpus))


@pytest.mark.parametrize("gpus", [True, False])
def test_the_manifest_is_a_jobset_without_unknown_fields(gpus: bool) -> None:
    schema = strict(SCHEMA)
    schema["properties"]["metadata"] = {"type": "object"}
    faults = jsonschema.validators.validator_for(schema)(schema).iter_errors(
        made(["data:/data", "runs:/runs"], gpus=gpus)
    )
    assert [fault.message for fault in faults] == []


def test_a_refusal_ends_it_and_anything_else_starts_all_pods_again() -> None:
    spec = made([])["spec"]
    assert spec["failurePolicy"]["maxRestarts"] == 5
    assert spec["failurePolicy"]["rules"][0]["action"] == "FailJobSet"
    assert spec["failurePolicy"]["rules"][0]["onJobFailureReasons"] == ["PodFailurePolicy"]
    of_job = spec["replicatedJobs"][0]["template"]["spec"]
    assert of_job["podFailurePolicy"]["rules"] == [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}
    ]
    assert (of_job["completions"], of_job["parallelism"], of_job["backoffLimit"]) == (2, 2, 0)


def test_arguments_are_not_expanded_by_kubernetes() -> None:
    (container,) = made([])["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    arguments = [expanded(argument) for argument in container["args"]]
    assert arguments[arguments.index("--") + 1 :] == ["train", *NASTY]
    assert "--meet=grok-1-workers-0-0.grok-1:29400" in arguments
    assert "--index=$JOB_COMPLETION_INDEX" in arguments


def expanded(argument: str) -> str:
    """As Kubernetes does: ``$$`` is a dollar, ``$(NAME)`` a variable, any other dollar itself."""
    return re.sub(r"\$(\$|\((\w+)\))", lambda match: "$" if match[1] == "$" else f"<{match[2]}>", argument)


def test_a_volume_is_a_claim_and_a_path() -> None:
    with pytest.raises(InputError, match="claim:/path"):
        made(["data"])
