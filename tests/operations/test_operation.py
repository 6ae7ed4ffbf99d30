"""The real thing, from broker to Alertmanager: faults and campaigns are told to whom they concern, once."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from stream_app.demo.workers import starting_worker
from stream_app.topology import Stage
from tests.conftest import SettingsFor
from tests.integration.streaming import Deployment, deployment
from tests.operations.stack import Prometheus, Receivers, alertmanager, limiter, prometheus, receivers, wait_until
from tests.operations.test_dashboards import QUERIES
from tests.unit.campaign_worlds import campaign_events
from tests.unit.streams import event

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.parametrize("broker", ["real"], indirect=True)]

LATENCY = "stillwatch_decision_latency_seconds_bucket"
PAGERS = ("page-sre", "page-trust")


class Operation(NamedTuple):
    """A deployment that has found a campaign and refused some events, and what watches it."""

    deployment: Deployment
    told: Receivers
    prometheus: Prometheus


@pytest.fixture
def operation(create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path) -> Iterator[Operation]:
    settings = create_topics_for(topic_prefix, partitions=2)
    with ExitStack() as stack:
        told = stack.enter_context(receivers())
        manager = stack.enter_context(alertmanager(tmp_path, told.address))
        stage = settings.model_copy(update={"stage": Stage.CAMPAIGNS, "alertmanager_url": manager})
        campaigns = stack.enter_context(starting_worker(stage, tmp_path / "campaigns.log"))
        running = stack.enter_context(deployment(settings, tmp_path))
        campaigns.wait_until_ready()
        port = stack.enter_context(limiter(settings, tmp_path))
        ports = {"worker": running.worker.face.port, "campaigns": campaigns.face.port, "limiter": port}
        by_job = {f"stillwatch-{job}": [port] for job, port in ports.items()}
        watching = stack.enter_context(prometheus(tmp_path, by_job, manager))
        yield Operation(running, told, watching)


def assert_every_panel_shows_something(watching: Prometheus) -> None:
    """Each query, with the range that Grafana would put in; the youngest series need a second scrape."""
    left = {query.replace("$__rate_interval", "1m") for query in QUERIES}

    def is_done() -> bool:
        left.difference_update([query for query in left if watching.has(query)])
        return not left

    wait_until(is_done, f"these show nothing: {left}", timeout_s=20)


def feed(running: Deployment) -> None:
    """Hours of ordinary accounts and a campaign, and some records that are none."""
    for number in range(5):
        running.send(b"{", tenant_id=f"t{number}")
    sent = running.send_events(campaign_events())
    running.wait_for(sent + 5)


def test_a_campaign_and_a_frozen_worker_are_told_once_and_when_they_are_over(operation: Operation) -> None:
    told, running = operation.told, operation.deployment
    feed(running)
    found = told.wait_for("tickets-trust", "CampaignDetected")
    [alert] = [one for one in found.alerts if one["status"] == "firing"]  # a tick before may have named another kind
    assert alert["annotations"]["dossier"] == f"stillwatch campaigns dossier {alert['labels']['campaign_id']}"
    assert_every_panel_shows_something(operation.prometheus)
    ids = {decision.decision_id for decision in running.decisions()}
    named = {one["decision_id"] for one in operation.prometheus.exemplars(LATENCY)}
    assert named
    assert named <= ids

    running.send_events([event(0, "last")])
    frozen_s = time.monotonic()
    running.worker.process.send_signal(signal.SIGSTOP)
    try:
        page = told.wait_for("page-sre", "DetectorSilent")
        wait_until(
            lambda: operation.prometheus.has('ALERTS{alertname="WorkerDown",alertstate="firing"}'), "no worker down"
        )
        time.sleep(2)  # what follows from it would be told by now, and so would a second page
        paged = [note for note in told.notes if note.receiver in PAGERS and note.at_s > frozen_s]
        assert [(note.receiver, note.status, note.name) for note in paged] == [("page-sre", "firing", "DetectorSilent")]
        assert [alert["annotations"]["dashboard_url"] for alert in page.alerts] == [
            "http://127.0.0.1:3000/d/stillwatch-health"
        ]
        assert page.alerts[0]["labels"].keys() == {"alertname", "severity", "team"}
        assert told.told("tickets-sre", "WorkerDown") == []
    finally:
        running.worker.process.send_signal(signal.SIGCONT)
    told.wait_for("page-sre", "DetectorSilent", "resolved")
    assert len(told.told("page-sre", "DetectorSilent")) == 1
    assert len(told.told("tickets-trust", "CampaignDetected")) == 1
    assert len(told.told("record", "DetectorSilent")) == 1
