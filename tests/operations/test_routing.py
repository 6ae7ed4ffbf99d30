"""Who is told of which alert, by Alertmanager's own word."""

import pytest
import yaml

from tests.operations.programs import DEPLOY, run
from tests.operations.test_rules import ALERTS

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
RECEIVERS = {
    ("page", "sre"): "page-sre",
    ("page", "trust"): "page-trust",
    ("page", "gateways"): "page-sre",
    ("ticket", "sre"): "tickets-sre",
    ("ticket", "trust"): "tickets-trust",
    ("ticket", "gateways"): "tickets-gateways",
}


def receivers(**labels: str) -> list[str]:
    words = [f"{name}={value}" for name, value in labels.items()]
    return run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *words).strip().split(",")


def test_the_configuration_is_valid() -> None:
    run("amtool", "check-config", CONFIG)


@pytest.mark.parametrize(("severity", "team"), RECEIVERS)
def test_severity_and_team_say_who_is_told(severity: str, team: str) -> None:
    assert receivers(alertname="Any", severity=severity, team=team) == ["record", RECEIVERS[severity, team]]


def test_every_alert_of_ours_is_of_a_known_severity_and_team() -> None:
    found = {(rule["labels"]["severity"], rule["labels"]["team"]) for rule in ALERTS}
    assert found <= RECEIVERS.keys()


def test_what_nobody_claims_is_somebodys() -> None:
    assert receivers(alertname="Watchdog") == ["record", "tickets-sre"]


def test_no_secret_is_in_the_configuration() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    own = [one for receiver in config["receivers"] for key, many in receiver.items() if key != "name" for one in many]
    assert not {"routing_key", "service_key", "api_url"} & {key for one in own for key in one}
    assert all("credentials_file" in one["http_config"]["authorization"] for one in own if "http_config" in one)


def test_inhibition_names_alerts_that_there_are() -> None:
    names = {rule["alert"] for rule in ALERTS} | {"CampaignDetected"}
    rules = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    sources = [word for rule in rules for word in rule["source_matchers"] if word.startswith("alertname=")]
    assert sources
    assert {word.split('"')[1] for word in sources} <= names
