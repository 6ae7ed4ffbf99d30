"""The product over a stream: its decisions, its campaigns, and whom it would have acted on without a harm budget."""

from collections.abc import Iterator
from time import process_time
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, Struct, field

from benchmarks.campaigns.observations import Recorder, Seen
from stream_app.detection import decisions
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import TICK_MS
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, EmitDecision
from stream_app.detection.operators import parse_operator
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.evaluation import Decision, Report
from stream_app.replay import CHUNK_LINES, NO_TIMESTAMP_MS, OPERATOR_LOG, Replay
from stream_app.reports.campaigns import plain_campaign
from stream_app.simulate.campaigns.worlds import World


class Judged(Struct):
    """What came of one stream. ``alone`` are the decisions of a detector without the campaign stage.

    ``acted_ms`` says when each tenant first stood in the act or block set of a campaign, before any budget;
    ``withheld`` holds tenants that a budget spared. ``cpu_s`` is the product's, the stream's making not counted.
    """

    seen: Seen = field(default_factory=lambda: Recorder().seen())
    reports: list[Report] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    alone: list[Decision] = field(default_factory=list)
    acted_ms: dict[str, int] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)
    cpu_s: float = 0.0


def judge(world: World, policy: Policy, *, alone: bool = True) -> Judged:
    """Read a stream once, through the whole product and, where asked, through the per-tenant detector alone."""
    run = _Run(world, policy, alone=alone)
    began_s = process_time()
    for effect in run.replay.run(run.lines()):
        run.note(effect)
    run.watch(1 << 62)
    run.judged.cpu_s = process_time() - began_s - run.outside_s
    run.judged.seen = run.recorder.seen()
    run.judged.reports = [
        msgspec.json.decode(orjson.dumps(plain_campaign(campaign)), type=Report) for campaign in run.replay.campaigns
    ]
    return run.judged


class _Run:
    def __init__(self, world: World, policy: Policy, *, alone: bool) -> None:
        self._world = world
        operator = [_allowing(place, tenant_id) for place, tenant_id in enumerate(_allow_list(world))]
        self.replay = Replay(policy, operator_lines=operator)
        self._alone = Detector("alone", 0, 1, policy, {})
        self._is_alone_asked = alone
        for offset, line in enumerate(operator):
            self._alone.instruct(OPERATOR_LOG, offset, parse_operator(line), line, OPERATOR_LOG)
        self.recorder = Recorder()
        self.judged = Judged()
        self.outside_s = 0.0

    def lines(self) -> Iterator[bytes]:
        """The stream as the product reads it; on the way the other detector sees it, and campaigns are looked at."""
        chunk: list[Record] = []
        watched, paused_s = 0, process_time()
        for count, event in enumerate(self._world.events()):
            time_ms = self.recorder.add(event)
            line = orjson.dumps(event)
            if self._is_alone_asked:
                chunk.append(Record(count, NO_TIMESTAMP_MS, line, {}))
            if len(chunk) == CHUNK_LINES:
                self._note_alone(self._alone.handle(chunk))
                chunk = []
            if time_ms // TICK_MS > watched:
                watched = time_ms // TICK_MS
                self.watch(time_ms)
            self.outside_s += process_time() - paused_s
            yield line
            paused_s = process_time()
        self._note_alone(self._alone.handle(chunk))
        self._note_alone(self._alone.advance(NO_TIMESTAMP_MS))
        self.outside_s += process_time() - paused_s

    def note(self, effect: Effect) -> None:
        if isinstance(effect, EmitDecision):
            self.judged.decisions.append(_plain(effect.decision))
            budget = effect.decision.harm_budget
            if budget is not UNSET and budget.withheld is not UNSET:
                self.judged.withheld.add(effect.decision.tenant_id)

    def watch(self, now_ms: int) -> None:
        for campaign in self.replay.campaigns:
            for member in campaign.members.values():
                if member.role is not Role.MEMBER:
                    self.judged.acted_ms.setdefault(member.tenant_id, now_ms)

    def _note_alone(self, effects: list[Effect]) -> None:
        self.judged.alone += [_plain(effect.decision) for effect in effects if isinstance(effect, EmitDecision)]


def _plain(decision: decisions.Decision) -> Decision:
    plain = msgspec.to_builtins(decision)
    kept = {name: plain[name] for name in Decision.__struct_fields__ if name in plain}
    return msgspec.convert(kept, Decision)


def _allow_list(world: World) -> list[str]:
    scenario: dict[str, Any] = world.scenario()
    return list(scenario["allow_list"])


def _allowing(place: int, tenant_id: str) -> bytes:
    """An operator's record, older than any stream."""
    return orjson.dumps(
        {
            "id": f"op-{place}",
            "type": "allow",
            "subject": f"tenant:{tenant_id}",
            "reason": "under contract",
            "by": "benchmark",
            "at": "2020-01-01T00:00:00Z",
            "expires_at": "2030-01-01T00:00:00Z",
            "body": {"purpose": "contracted distillation"},
        }
    )
