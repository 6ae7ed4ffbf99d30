"""The manifests for Kubernetes, without a cluster."""

import stat
from typing import Any

import pytest
import yaml

from k8s import generate
from stream_app.adapters.stop_deadline import STOP_DEADLINE_S
from stream_app.grants import COMPONENTS
from stream_app.settings import Settings
from stream_app.topology import TOPICS, TopicName, topic
from tests.deployment.manifests import OVERLAYS, complaints, of_kind, pod_specs, rendered, selects

WORKERS = ("stillwatch-worker", "stillwatch-campaigns")
#: What listens elsewhere than a worker does.
PORTS = {"stillwatch-limiter": 8088, "stillwatch-console": 8090}
OURS = (*WORKERS, *PORTS)


def settings_of(overlay: str, pod: dict[str, Any]) -> dict[str, str]:
    """The settings that the first container of a pod gets."""
    container = pod["spec"]["containers"][0]
    (settings,) = [
        found["data"] for found in of_kind(overlay, "ConfigMap") if found["metadata"]["name"] == "stillwatch-settings"
    ]
    assert container["envFrom"] == [{"configMapRef": {"name": "stillwatch-settings"}}]
    given = settings | {variable["name"]: variable["value"] for variable in container.get("env", [])}
    return {name.removeprefix("STILLWATCH_").lower(): value for name, value in given.items()}


def test_the_generated_manifests_are_those_of_today() -> None:
    assert [path.name for path, text in generate.generated() if path.read_text() != text] == [], "run make k8s"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_valid_to_the_last_field(overlay: str) -> None:
    assert [complaint for resource in rendered(overlay) for complaint in complaints(resource)] == []


@pytest.mark.parametrize(
    "kind", ["Deployment", "KafkaTopic", "KafkaUser", "PodMonitor", "PrometheusRule", "ScaledObject"]
)
def test_a_mistyped_field_would_be_noticed(kind: str) -> None:
    resource = of_kind("keda", kind)[0]
    assert complaints(resource | {"spec": resource["spec"] | {"replica": 3}})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_keep_to_the_restricted_pod_security_standard(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, template in pod_specs(overlay).items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all({"emptyDir", "secret", "configMap"} & volume.keys() for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert name == "kafka" or context["readOnlyRootFilesystem"] is True
            assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_pods_reach_and_are_reached_by_nothing_but_what_is_said(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    for name, template in pod_specs(overlay).items():
        labels = template["metadata"]["labels"]
        for direction in ("Ingress",) if name == "kafka" else ("Ingress", "Egress"):
            concerned = [
                policy["spec"]
                for policy in policies
                if selects(policy["spec"]["podSelector"], labels) and direction in policy["spec"]["policyTypes"]
            ]
            assert concerned, f"{name}: {direction} is open"
            rules = [rule for policy in concerned for rule in policy.get(direction.lower(), [])]
            peers = "from" if direction == "Ingress" else "to"
            assert all(rule[peers] and rule["ports"] for rule in rules)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", OURS)
def test_probes_ask_what_they_are_for(overlay: str, name: str) -> None:
    (container,) = pod_specs(overlay)[name]["spec"]["containers"]
    paths = {kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/health", "readinessProbe": "/ready", "livenessProbe": "/health"}
    (port,) = container["ports"]
    assert {container[kind]["httpGet"]["port"] for kind in paths} == {port["name"]}
    fields = settings_of(overlay, pod_specs(overlay)[name])
    served = PORTS.get(name) or int(fields.get("web_port", Settings().web_port))
    assert port["containerPort"] == served
    assert fields["web_bind"] == "0.0.0.0"  # noqa: S104 - the pod's own


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_may_hand_over_and_no_worker_is_without_a_partition(overlay: str, name: str) -> None:
    (deployment,) = [found for found in of_kind(overlay, "Deployment") if found["metadata"]["name"] == name]
    spec = deployment["spec"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= STOP_DEADLINE_S + 10
    partitions = 1 if name == "stillwatch-campaigns" else generate.PARTITIONS
    # where KEDA sets it, it is the autoscaler that has to stop there
    assert spec.get("replicas", 0) <= partitions
    # one above the number of partitions would never be ready, and the update would wait for it for ever
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", OURS)
def test_pods_ask_for_what_they_need_and_are_evicted_one_by_one(overlay: str, name: str) -> None:
    template = pod_specs(overlay)[name]
    resources = template["spec"]["containers"][0]["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}
    budgets = [
        budget["spec"]
        for budget in of_kind(overlay, "PodDisruptionBudget")
        if selects(budget["spec"]["selector"], template["metadata"]["labels"])
    ]
    assert [budget["maxUnavailable"] for budget in budgets] == [1]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", OURS)
def test_settings_exist_and_are_accepted(overlay: str, name: str) -> None:
    fields = settings_of(overlay, pod_specs(overlay)[name])
    assert fields.keys() <= Settings.model_fields.keys()
    settings = Settings.model_validate(fields)
    assert settings.partitions == generate.PARTITIONS
    assert (settings.topic_prefix, settings.group) == (generate.PREFIX, generate.GROUP)
    assert settings.stage_partitions == (1 if name == "stillwatch-campaigns" else generate.PARTITIONS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_a_manifest(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []


@pytest.mark.parametrize("name", OURS)
def test_each_component_is_its_own_user_with_a_password_of_its_own(name: str) -> None:
    template = pod_specs("strimzi")[name]
    assert settings_of("strimzi", template)["sasl_username"] == name
    volumes = {volume["name"]: volume["secret"] for volume in template["spec"]["volumes"] if "secret" in volume}
    assert volumes["user"]["secretName"] == name
    assert name in {user["metadata"]["name"] for user in of_kind("strimzi", "KafkaUser")}
    mounts = {mount["name"]: mount["mountPath"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
    fields = settings_of("strimzi", template)
    assert fields["sasl_password_file"] == f"{mounts['user']}/{volumes['user']['items'][0]['path']}"
    assert fields["tls_ca_file"] == f"{mounts['ca']}/{volumes['ca']['items'][0]['path']}"


def test_only_workers_have_the_key_that_signs_and_limiters_obey_no_other() -> None:
    templates = pod_specs("prod")
    held = {name: str(template["spec"]["volumes"]) for name, template in templates.items()}
    assert {name for name, volumes in held.items() if "stillwatch-signing-key" in volumes} == {"stillwatch-worker"}
    worker, limiter = templates["stillwatch-worker"]["spec"], templates["stillwatch-limiter"]["spec"]
    assert settings_of("prod", templates["stillwatch-worker"])["signing_key"] == mounted(worker, "signing", "secret")
    assert limiter["containers"][0]["args"][-2:] == ["--verify-key", mounted(limiter, "trusted", "configMap")]


def mounted(pod: dict[str, Any], name: str, kind: str) -> str:
    """Where the one file of a volume lies in the first container; open to owner and group at most if it is secret."""
    (volume,) = [found[kind] for found in pod["volumes"] if found["name"] == name]
    (mount,) = [found for found in pod["containers"][0]["volumeMounts"] if found["name"] == name]
    (item,) = volume["items"]
    assert mount["readOnly"]
    assert kind != "secret" or not volume["defaultMode"] & stat.S_IRWXO
    return f"{mount['mountPath']}/{item['path']}"


def test_topics_are_those_of_the_map() -> None:
    found = {resource["metadata"]["name"]: resource["spec"] for resource in of_kind("strimzi", "KafkaTopic")}
    assert found.keys() == {topic(generate.PREFIX, spec.name) for spec in TOPICS}
    for spec in TOPICS:
        actual = found[topic(generate.PREFIX, spec.name)]
        assert actual["partitions"] == (spec.partitions or generate.PARTITIONS)
        config = {name: str(value) for name, value in actual["config"].items()}
        assert config.pop("min.insync.replicas") == "2"
        assert config == spec.config
        assert (
            actual["replicas"]
            == Settings.model_validate(
                settings_of("strimzi", pod_specs("strimzi")["stillwatch-worker"])
            ).replication_factor
        )


def test_nobody_may_do_everything() -> None:
    users = of_kind("strimzi", "KafkaUser")
    assert {user["metadata"]["name"] for user in users} == {f"stillwatch-{name}" for name in COMPONENTS} - {
        "stillwatch-topics"
    }
    for user in users:
        for acl in user["spec"]["authorization"]["acls"]:
            assert acl["resource"].get("name") != "*"
            assert not {"All", "Alter", "AlterConfigs", "ClusterAction", "Delete"} & set(acl["operations"])
            is_wide = acl["resource"].get("patternType") == "prefix" and acl["resource"]["type"] == "topic"
            assert not is_wide or set(acl["operations"]) <= {"Describe", "DescribeConfigs"}


def test_alert_rules_are_those_of_prometheus() -> None:
    (rule,) = of_kind("prod", "PrometheusRule")
    groups = [
        group for path in sorted(generate.RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert rule["spec"]["groups"] == groups


def scraped_jobs() -> set[str]:
    """Jobs as Prometheus without Kubernetes has them: rules go by their names."""
    settings = yaml.safe_load((generate.RULES.parent / "prometheus.yml").read_text())
    return {job["job_name"] for job in settings["scrape_configs"]}


@pytest.mark.parametrize("name", OURS)
def test_every_pod_is_scraped(name: str) -> None:
    (monitor,) = of_kind("prod", "PodMonitor")
    template = pod_specs("prod")[name]
    assert selects(monitor["spec"]["selector"], template["metadata"]["labels"])
    assert template["metadata"]["labels"][monitor["spec"]["jobLabel"]] in scraped_jobs()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}


def test_workers_are_scaled_by_the_lag_of_their_own_group_and_no_further_than_there_are_partitions() -> None:
    (scaled,) = of_kind("keda", "ScaledObject")
    (workers,) = [found for found in of_kind("keda", "Deployment") if found["metadata"]["name"] == "stillwatch-worker"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == "stillwatch-worker"
    assert "replicas" not in workers["spec"], "every apply would set back what KEDA has set"
    settings = Settings.model_validate(settings_of("keda", workers["spec"]["template"]))
    assert 2 <= scaled["spec"]["minReplicaCount"] <= scaled["spec"]["maxReplicaCount"] == settings.partitions
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["bootstrapServers"] == settings.broker
    assert trigger["metadata"]["consumerGroup"] == settings.stage_group
    assert trigger["metadata"]["topic"] == settings.topic(TopicName.REQUESTS)
    (access,) = of_kind("keda", "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == access["metadata"]["name"]
    users = {user["metadata"]["name"] for user in of_kind("keda", "KafkaUser")}
    assert {found["name"] for found in access["spec"]["secretTargetRef"]} <= users | {"kafka-cluster-ca-cert"}
