"""Both stages as workers: a campaign is found as in replay, its members are told, and kill -9 changes nothing."""

import signal as signals
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream_app.cli import main
from stream_app.demo.workers import running_worker
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.entries import entries_of
from stream_app.detection.decisions import Action
from stream_app.detection.effects import EmitDecision, EmitVerdict
from stream_app.detection.records import Record
from stream_app.policies import DEFAULT_POLICY, read_policy
from stream_app.replay import Replay
from stream_app.settings import Settings
from stream_app.topology import Stage, TopicName
from tests.conftest import SettingsFor
from tests.faults.failing_worker import CRASHED
from tests.faults.workers import WorkerProcess
from tests.integration.streaming import TIMEOUT_S, Deployment, deployment
from tests.unit.campaign_worlds import campaign_events

#: A look at which campaigns have been told and members are still to come.
_FATAL_TICK = 12


def on_topic(running: Deployment) -> dict[str, Any]:
    """The campaigns topic as compaction leaves it."""
    kept: dict[str, Any] = {}
    for record in running.read(TopicName.CAMPAIGNS):
        key = (record.key or b"").decode()
        kept.pop(key, None)
        if record.value:
            kept[key] = orjson.loads(record.value)
    return kept


def stage_alone(running: Deployment, settings: Settings) -> tuple[CampaignDetector, list[EmitVerdict], set[str]]:
    """The same core over what lies on the signals topic; its verdicts, and ids of its decisions on shared values."""
    lines = [Record(record.offset, 0, record.value, {}) for record in running.read(TopicName.SIGNALS)]
    detector = CampaignDetector(settings.topic(TopicName.SIGNALS), 0, read_policy(settings), {})
    effects = detector.handle(lines)
    verdicts = [effect for effect in effects if isinstance(effect, EmitVerdict)]
    return detector, verdicts, {effect.decision.decision_id for effect in effects if isinstance(effect, EmitDecision)}


def wait_for_campaigns(running: Deployment, expected: dict[str, Any]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while on_topic(running) != expected:
        if time.monotonic() > deadline:
            raise TimeoutError("the campaigns topic does not become what it should be")
        time.sleep(0.2)


def members(entries: dict[str, Any]) -> set[str]:
    return {entry["tenant_id"] for entry in entries.values() if "tenant_id" in entry}


@pytest.mark.parametrize(
    ("broker", "fate"),
    [
        ("embedded", "calm"),
        ("embedded", "killed"),
        *(pytest.param("real", fate, marks=pytest.mark.kafka) for fate in ("killed", "killed in a tick")),
    ],
    indirect=["broker"],
)
def test_both_stages_find_and_tell_what_replay_does(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path, fate: str
) -> None:
    rules = tmp_path / "policy.yaml"
    rules.write_text(f"{DEFAULT_POLICY.read_text()}\nlinks: {{payment_fp: block, ip_prefix: challenge}}\n")
    settings = create_topics_for(topic_prefix, partitions=2).model_copy(update={"policy": rules})
    campaigns = settings.model_copy(update={"stage": Stage.CAMPAIGNS})
    sent = [orjson.dumps(event) for event in campaign_events()]
    with deployment(settings, tmp_path) as running:
        running.send_events(campaign_events())
        running.wait_for(len(sent))
        stage, told, links = stage_alone(running, settings)
        expected = orjson.loads(orjson.dumps(entries_of(stage.stage.campaigns)))
        if fate == "killed":
            with running_worker(campaigns, tmp_path / "killed.log") as first:
                running.read_until(TopicName.CAMPAIGNS, 1)
                first.process.send_signal(signals.SIGKILL)
                first.process.wait()
        elif fate == "killed in a tick":
            arguments = ("-m", "tests.faults.failing_worker", "--crash", f"in-tick:{_FATAL_TICK}")
            assert WorkerProcess(campaigns, tmp_path / "killed", arguments).wait_end() == CRASHED
            assert on_topic(running)
        if fate != "calm":
            assert on_topic(running) != expected  # with work left to do
        with running_worker(campaigns, tmp_path / "campaigns.log"):
            wait_for_campaigns(running, expected)
            wanted = {(one.verdict.tenant_id, one.verdict.campaign_id) for one in told if one.verdict.role}
            assert wanted
            deadline = time.monotonic() + TIMEOUT_S
            while not wanted <= (found := decided(running)) and time.monotonic() < deadline:
                time.sleep(0.2)
            assert found == wanted
            assert links
            assert {one.decision_id for one in running.decisions() if not one.tenant_id} == links
            campaign_id = next(key for key in expected if "/" not in key)
            plot = tmp_path / "campaign.svg"
            shown = stillwatch(settings, "campaigns", "dossier", campaign_id, "--json", "--plot", str(plot))
            assert_drawn(plot, settings)
            dossier = orjson.loads(shown.splitlines()[0])["dossier"]
            assert {one["place"].split(",")[0] for one in dossier["chain"]["records"]} == {
                settings.topic(TopicName.CAMPAIGN_LOG),
                settings.topic(TopicName.DECISION_LOG),
            }
            assert members({str(n): one for n, one in enumerate(dossier["members"])}) == members(
                {key: one for key, one in expected.items() if key.startswith(f"{campaign_id}/")}
            )
            assert campaign_id in stillwatch(settings, "campaigns", "list")
            paper = tmp_path / "dossier.html"
            stillwatch(settings, "campaigns", "dossier", campaign_id, "--format", "html", "--out", str(paper))
            assert "ok, not signed" in stillwatch(settings, "dossier", "verify", str(paper), "--log")
            assert campaign_id in stillwatch(settings, "digest", "--since", "9999d")
            if fate == "killed":
                kill_tenants_worker(running, tmp_path)
            else:
                dismiss(running, settings, campaign_id)
            assert "no campaign" in stillwatch(settings, "campaigns", "show", "c-none")

    replay = Replay(read_policy(settings), 2, topic=settings.topic(TopicName.REQUESTS))
    effects = list(replay.run(sent))
    again = {effect.decision.tenant_id for effect in effects if isinstance(effect, EmitDecision)}
    assert len(replay.campaigns) == len([key for key in expected if "/" not in key])
    assert members(expected) <= members(entries_of(replay.campaigns))
    assert {tenant for tenant, _ in wanted} <= again


def assert_drawn(plot: Path, settings: Settings) -> None:
    """The picture holds what the topics do: load from the signals, decisions from their log."""
    drawn = plot.read_text()
    for told in ("Requests in ", settings.topic(TopicName.SIGNALS), "Decisions in ", "times likelier"):
        assert told in drawn
    assert "left out" not in drawn


def kill_tenants_worker(running: Deployment, tmp_path: Path) -> None:
    """Who starts from its checkpoint tells the campaign stage nothing new, and its tenants' decisions stay."""
    before = {one.decision_id: one for one in running.decisions()}
    running.worker.process.send_signal(signals.SIGKILL)
    running.worker.process.wait()
    with running_worker(running.settings, tmp_path / "again.log"):
        campaigns = on_topic(running)
        time.sleep(1.0)  # nothing is to come; what does by mistake comes at once
        assert {one.decision_id: one for one in running.decisions()} == before
        assert on_topic(running) == campaigns


def dismiss(running: Deployment, settings: Settings, campaign_id: str) -> None:
    """One word lets everybody go whom this campaign, and nothing else, holds."""
    assert "undo" in stillwatch(settings, "campaigns", "dismiss", campaign_id, "--reason", "a hackathon", "--by", "ann")
    deadline = time.monotonic() + TIMEOUT_S
    held = {"to be read"}
    while held and time.monotonic() < deadline:
        time.sleep(0.2)
        newest = {one.key: one for one in running.decisions() if one.campaign_id or one.action is Action.ALLOW}
        held = {key for key, one in newest.items() if one.action is not Action.ALLOW}
    assert not held
    assert on_topic(running)[campaign_id]["status"] == "dismissed"
    assert "dismissed by ann" in stillwatch(settings, "campaigns", "feedback")


def stillwatch(settings: Settings, *words: str) -> str:
    """What a command says about this deployment."""
    given = {f"STILLWATCH_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    return CliRunner().invoke(main, words, env=given).output


def decided(running: Deployment) -> set[tuple[str, str]]:
    return {(one.tenant_id, str(one.campaign_id)) for one in running.decisions() if one.campaign_id and one.tenant_id}
