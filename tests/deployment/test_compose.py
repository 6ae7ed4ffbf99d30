"""The compose file, without an engine: its schema, what it publishes, and what its containers may do.

``compose-spec.json`` is that of the Compose specification (compose-spec/compose-spec, Apache-2.0) of June 2026.
"""

import re
from datetime import timedelta
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from stream_app.adapters.stop_deadline import STOP_DEADLINE_S
from stream_app.settings import Settings
from tests.brokers import POM, ROOT

COMPOSE = ROOT / "deploy" / "compose.yaml"
SCHEMA = ROOT / "tests" / "deployment" / "compose-spec.json"
FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SECRET = re.compile(r"passw|secret|token|credential|api_?key", re.IGNORECASE)


def test_the_file_is_what_the_compose_specification_asks_for() -> None:
    schema = jsonschema_rs.validator_for(orjson.loads(SCHEMA.read_bytes()))
    assert [str(error) for error in schema.iter_errors(FILE)] == []
    assert not schema.is_valid(FILE | {"services": {"worker": {"port": "6066"}}})


def test_everything_that_was_asked_for_runs() -> None:
    assert SERVICES.keys() == {
        *("kafka", "topics", "worker", "campaigns", "limiter", "console"),
        *("prometheus", "alertmanager", "grafana"),
    }
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert SERVICES["campaigns"]["environment"]["STILLWATCH_STAGE"] == "campaigns"


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_what_is_published(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") is None


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_gain_no_right(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices", "user"} & service.keys()
    assert name not in OURS or service["read_only"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_file(name: str) -> None:
    assert [variable for variable in SERVICES[name].get("environment", {}) if SECRET.search(variable)] == []
    assert not SECRET.search(str(SERVICES[name].get("command")))


def test_grafana_has_no_account_to_guess_the_password_of() -> None:
    given = SERVICES["grafana"]["environment"]
    assert given["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert given["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert given["GF_AUTH_BASIC_ENABLED"] == "false"
    assert given["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "topics"])
def test_what_stays_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["mem_limit"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_others_images_are_of_one_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])


def test_the_broker_is_the_one_that_the_tests_run_on() -> None:
    tested = re.search(r"<kafka.version>(.*)</kafka.version>", POM.read_text())
    assert tested
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize("name", OURS)
def test_our_settings_exist_and_are_accepted(name: str) -> None:
    given = SERVICES[name]["environment"]
    fields = {variable.removeprefix("STILLWATCH_").lower(): value for variable, value in given.items()}
    assert fields.keys() <= Settings.model_fields.keys()
    Settings.model_validate(fields)


@pytest.mark.parametrize("name", OURS)
def test_a_stop_is_waited_for(name: str) -> None:
    grace = re.fullmatch(r"(\d+)s", SERVICES[name]["stop_grace_period"])
    assert grace
    assert timedelta(seconds=int(grace[1])) > timedelta(seconds=STOP_DEADLINE_S)


def test_topics_are_there_before_the_workers() -> None:
    for name in OURS:
        waits_for = {other: condition["condition"] for other, condition in SERVICES[name]["depends_on"].items()}
        is_topics = name == "topics"
        expected = {"kafka": "service_healthy"} if is_topics else {"topics": "service_completed_successfully"}
        assert waits_for == expected
