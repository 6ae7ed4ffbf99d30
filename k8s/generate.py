"""Writes the parts of the manifests that follow from other files: topics, users and alert rules (``make k8s``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stream_app.grants import COMPONENTS, Grant, Resource, grants
from stream_app.topology import TOPICS, TopicSpec, topic

K8S = Path(__file__).parent
RULES = K8S.parent / "deploy" / "prometheus" / "rules"
TOPICS_FILE = K8S / "overlays" / "strimzi" / "topics.yaml"
USERS_FILE = K8S / "overlays" / "strimzi" / "users.yaml"
RULES_FILE = K8S / "components" / "monitoring" / "prometheus-rules.yaml"

#: As in base/settings.yaml, which the tests compare.
PREFIX, GROUP, PARTITIONS = "stillwatch", "stillwatch", 8
#: Every record survives the loss of one broker, and writing goes on.
REPLICAS, MIN_INSYNC_REPLICAS = 3, 2
#: The cluster's name, by which Strimzi's operators know what is theirs.
CLUSTER_LABEL = {"strimzi.io/cluster": "kafka"}
#: Topics come from resources, so that nobody needs the right to create them.
USERS = [name for name in COMPONENTS if name != "topics"]


def kafka_topic(spec: TopicSpec) -> dict[str, Any]:
    """A topic of the map for Strimzi's topic operator."""
    name = topic(PREFIX, spec.name)
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": name, "labels": dict(CLUSTER_LABEL)},
        "spec": {
            "partitions": spec.partitions or PARTITIONS,
            "replicas": REPLICAS,
            "config": spec.config | {"min.insync.replicas": str(MIN_INSYNC_REPLICAS)},
        },
    }


def kafka_user(component: str) -> dict[str, Any]:
    """A component's user for Strimzi's user operator, which makes its password."""
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": f"stillwatch-{component}", "labels": dict(CLUSTER_LABEL)},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {
                "type": "simple",
                "acls": [_acl(grant) for grant in grants(component, prefix=PREFIX, group=GROUP)],
            },
        },
    }


def _acl(grant: Grant) -> dict[str, Any]:
    resource: dict[str, Any] = {"type": grant.resource.value}
    if grant.resource is not Resource.CLUSTER:
        resource |= {"name": grant.name, "patternType": "prefix" if grant.is_prefix else "literal"}
    return {"resource": resource, "operations": [operation.value for operation in grant.operations]}


def prometheus_rule() -> dict[str, Any]:
    """All rule files of Prometheus as one resource of its operator."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "stillwatch", "labels": {"app.kubernetes.io/part-of": "stillwatch"}},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


def generated() -> Iterator[tuple[Path, str]]:
    """Each file that is generated, and what is in it."""
    yield TOPICS_FILE, _text("stream_app/topology.py", *map(kafka_topic, TOPICS))
    yield USERS_FILE, _text("stream_app/grants.py", *map(kafka_user, USERS))
    yield RULES_FILE, _text("deploy/prometheus/rules", prometheus_rule())


def _text(source: str, *resources: dict[str, Any]) -> str:
    dumped = yaml.safe_dump_all(resources, sort_keys=False, width=120, allow_unicode=True)
    return f"# Generated from {source} by `make k8s`.\n{dumped}"


if __name__ == "__main__":
    for path, text in generated():
        path.write_text(text)
