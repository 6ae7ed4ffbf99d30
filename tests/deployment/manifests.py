"""The manifests as a cluster would get them: rendered by kustomize, checked against the schemas of their kinds."""

import os
import shutil
import subprocess
from functools import cache
from typing import Any

import jsonschema_rs
import kubernetes_validate
import orjson
import pytest
import yaml

from tests.brokers import ROOT

OVERLAYS = ("dev", "prod", "strimzi", "keda")
#: Kubernetes' own kinds are checked against this version.
KUBERNETES = kubernetes_validate.latest_version()
#: Specs of Strimzi's (1.3) and the Prometheus Operator's (0.93) resources, from their definitions (Apache-2.0), without
#: descriptions; of KEDA's (2.x) those fields that are used here, written down by hand.
CUSTOM = orjson.loads((ROOT / "tests" / "deployment" / "custom-resources.json").read_bytes())

Resource = dict[str, Any]


@cache
def rendered(overlay: str) -> list[Resource]:
    """All resources of an overlay; skips without kubectl."""
    if shutil.which("kubectl") is None:
        if os.environ.get("CI"):
            pytest.fail("no kubectl on this machine, so no manifests can be rendered")
        pytest.skip("no kubectl on this machine, so no manifests can be rendered")
    command = ["kubectl", "kustomize", str(ROOT / "k8s" / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [resource for resource in yaml.safe_load_all(done.stdout) if resource]


def of_kind(overlay: str, kind: str) -> list[Resource]:
    """An overlay's resources of one kind."""
    return [resource for resource in rendered(overlay) if resource["kind"] == kind]


def pod_specs(overlay: str) -> dict[str, Resource]:
    """Pod templates by the name of what makes the pods."""
    return {
        resource["metadata"]["name"]: resource["spec"]["template"]
        for resource in rendered(overlay)
        if resource["kind"] in {"Deployment", "StatefulSet", "Job"}
    }


def complaints(resource: Resource) -> list[str]:
    """What is wrong with a resource by its kind's schema, unknown fields included."""
    if custom := CUSTOM.get(f"{resource['apiVersion']}/{resource['kind']}"):
        return [str(error) for error in jsonschema_rs.validator_for(closed(custom)).iter_errors(resource["spec"])]
    try:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return []


def closed(schema: Any) -> Any:
    """A schema that refuses fields it does not name, as a cluster's strict validation does."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part) for key, part in schema.items()}
    if isinstance(parts.get("properties"), dict) and not parts.get("x-kubernetes-preserve-unknown-fields"):
        parts.setdefault("additionalProperties", False)
    return parts


def selects(selector: Resource, labels: dict[str, str]) -> bool:
    """Whether a label selector without expressions selects these labels."""
    assert selector.keys() <= {"matchLabels"}
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
