"""Real traces through every driver: the decisions are the same, and nobody ordinary is throttled."""

from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import EmitDecision
from stream_app.policies import read_policy
from stream_app.replay import Replay
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests import real_input
from tests.conftest import SettingsFor
from tests.integration.streaming import deployment

pytestmark = pytest.mark.skipif(real_input.MISSING is not None, reason=str(real_input.MISSING))
#: The embedded broker is slower, and its part only shows that it makes no difference.
EMBEDDED_EVENTS = 40_000


def replayed(settings: Settings, events: list[dict[str, Any]]) -> list[Decision]:
    replay = Replay(read_policy(settings), settings.partitions, topic=settings.topic(TopicName.REQUESTS))
    effects = list(replay.run(orjson.dumps(event) for event in events))
    assert replay.summary.events == len(events)
    return [effect.decision for effect in effects if isinstance(effect, EmitDecision)]


def by_id(decisions: list[Decision]) -> list[Decision]:
    return sorted(decisions, key=lambda decision: (decision.decision_id, decision.revision))


@pytest.mark.parametrize(
    ("broker", "take"),
    [
        pytest.param("embedded", EMBEDDED_EVENTS),
        pytest.param("real", None, marks=[pytest.mark.kafka, pytest.mark.slow]),
    ],
    indirect=["broker"],
)
@pytest.mark.parametrize("trace", ["servegen", "azure"])
def test_the_worker_decides_what_replay_decides(
    trace: str, take: int | None, create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    stream = real_input.azure_events() if trace == "azure" else real_input.servegen_events(seed=1)
    events = list(islice(stream, take))
    settings = create_topics_for(topic_prefix)
    with deployment(settings, tmp_path) as running:
        counts = running.wait_for(running.send_events(events))
        assert (counts.handled, counts.rejected) == (len(events), 0)
        live = running.decisions()
    assert by_id(live) == by_id(replayed(settings, events))
    assert {decision.action for decision in live} <= {Action.ALLOW, Action.OBSERVE}
