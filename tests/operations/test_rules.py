"""Alert rules: valid, tested both ways, with a runbook, and made of metrics that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from stream_app.limiter.decisions_table import DecisionsTable
from stream_app.limiter.metrics import LimiterMetrics
from stream_app.metrics import Metrics
from tests.operations.programs import DEPLOY, RULES, run

DOCS = DEPLOY.parent / "docs"
CASES = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))


def all_rules() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule for rule in all_rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in all_rules() if "record" in rule}


def exported() -> set[str]:
    """Names of all samples that workers and limiters show."""
    registry = CollectorRegistry()
    Metrics(registry)
    LimiterMetrics(registry, DecisionsTable(), lambda: 0, lambda: True)
    return {name for family in registry.collect() for name in samples(family)}


def samples(family: Metric) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    return [f"{family.name}{suffix}" for suffix in suffixes]


def test_rules_and_configuration_are_valid() -> None:
    run("promtool", "check", "rules", *RULES)
    run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_stay_quiet_as_told(path: Path) -> None:
    run("promtool", "test", "rules", path)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_case_of_each_kind_and_a_runbook(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]
    own = [case for case in cases if case["name"].startswith(f"{name} ")]
    fires = [case for case in own if case["name"].startswith(f"{name} fires") and expects(case, name)]
    quiet = [case for case in own if case["name"].startswith(f"{name} stays quiet") and not expects(case, name)]
    assert fires
    assert quiet
    assert len(fires) + len(quiet) == len(own)
    assert rule["labels"].keys() == {"severity", "team"}
    assert (DOCS / "runbooks" / f"{name}.md").read_text().startswith(f"# {name}\n")
    assert rule["annotations"]["runbook_url"].endswith(f"/{name}.md")
    assert (
        f"[{name}](runbooks/{name}.md) | {rule['labels']['severity']} | {rule['labels']['team']} |"
        in (DOCS / "alerts.md").read_text()
    )


def expects(case: dict[str, Any], name: str) -> bool:
    """Whether a case ever expects the alert, having asked for it by name."""
    told = [bool(one["exp_alerts"]) for one in case.get("alert_rule_test", []) if one["alertname"] == name]
    asked = [one for one in case.get("promql_expr_test", []) if f'alertname="{name}"' in one["expr"]]
    told += [bool(one["exp_samples"]) for one in asked]
    assert told
    return any(told)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_rest_on_metrics_that_there_are(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\bstillwatch[a-z_:]+[a-z0-9_]*", re.sub(r'"[^"]*"', "", rule["expr"])))
    assert named <= exported() | RECORDED
    assert named or "up{" in rule["expr"]


def test_every_runbook_is_of_an_alert() -> None:
    names = {path.stem for path in (DOCS / "runbooks").glob("*.md")}
    assert names == {rule["alert"] for rule in ALERTS} | {"CampaignDetected"}
