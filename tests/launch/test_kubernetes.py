"""The manifest is a JobSet by the published schema, says what a failure means, and every argument arrives."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kolossos.errors import InputError
from kolossos.launch.job import job_of
from kolossos.launch.kubernetes import manifest

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
