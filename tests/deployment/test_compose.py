"""The compose file, without an engine: its schema, what it publishes, and what its containers may do.

``compose-spec.json`` is that of the Compose specification (compose-spec/compose-spec, Apache-2.0) of June 2026.
"""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from stream_app.adapters.stop_deadline import STOP_DEADLINE_S
from stream_app.settings import Settings
from stream_app.signatures import key_id_of, load_public_key, load_signer
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
        *("kafka", "topics", "keys", "worker", "campaigns", "limiter", "console"),
        *("prometheus", "alertmanager", "grafana"),
    }
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert SERVICES["campaigns"]["environment"]["STILLWATCH_STAGE"] == "campaigns"


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_what_is_published(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") in {None, "none"}


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


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in {"topics", "keys"}])
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


def test_topics_and_keys_are_there_before_who_needs_them() -> None:
    needs = {"topics": {"kafka": "service_healthy"}, "keys": {}}
    topics, keys = ({name: "service_completed_successfully"} for name in ("topics", "keys"))
    for name in OURS:
        waits_for = {other: found["condition"] for other, found in SERVICES[name].get("depends_on", {}).items()}
        assert waits_for == needs.get(name, topics | (keys if name in {"worker", "limiter"} else {}))


def test_only_workers_have_the_key_that_signs_and_limiters_obey_no_other() -> None:
    mounts = {name: SERVICES[name].get("volumes", []) for name in OURS}
    assert {name for name, volumes in mounts.items() if "signing-key" in str(volumes)} == {"keys", "worker"}
    assert mounts["worker"] == ["signing-key:/etc/stillwatch/signing:ro"]
    assert mounts["limiter"] == ["trusted-key:/etc/stillwatch/trusted:ro"]
    assert SERVICES["worker"]["environment"]["STILLWATCH_SIGNING_KEY"] == "/etc/stillwatch/signing/decisions.key"
    assert SERVICES["limiter"]["command"][-2:] == ["--verify-key", "/etc/stillwatch/trusted/decisions.key.pub"]


def make_keys(folder: Path) -> str:
    """Run the command of the service ``keys``, its volumes in a folder; the id of the public key."""
    words = [*SERVICES["keys"]["entrypoint"], SERVICES["keys"]["command"][0].replace("/etc/stillwatch", str(folder))]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(words, check=True, env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL)
    return key_id_of(load_public_key(folder / "trusted" / "decisions.key.pub"))


def test_keys_are_made_once_and_their_halves_kept_apart(tmp_path: Path) -> None:
    for name in ("signing", "trusted"):
        (tmp_path / name).mkdir()
    (tmp_path / "signing" / "decisions.key").write_text("of a run that was cut off")
    made = make_keys(tmp_path)
    assert load_signer(tmp_path / "signing" / "decisions.key").key_id == made
    assert [path.name for path in (tmp_path / "signing").iterdir()] == ["decisions.key"]
    assert [path.name for path in (tmp_path / "trusted").iterdir()] == ["decisions.key.pub"]
    assert make_keys(tmp_path) == made
