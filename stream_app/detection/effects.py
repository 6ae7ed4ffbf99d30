"""What the core asks its driver to do; values only, performed by an adapter in this order."""

from typing import Any

from msgspec import UNSET, Struct, field

from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.decisions import Decision
from stream_app.detection.decode import RejectReason
from stream_app.detection.events import Event
from stream_app.detection.signals import Signal

#: Of so many records one is looked at for which optional fields it has: enough for a share, and costs nothing.
SAMPLED = 32
#: Optional fields that features rest on; a closed set, so that it can label a metric.
OPTIONAL_FIELDS = (
    *("latency_ms", "reasoning_tokens", "max_tokens", "temperature", "logprobs", "n", "refused"),
    *("client", "account", "prompt", "scores"),
)


class EmitDecision(Struct, frozen=True):
    """Put a decision on the control topic and the decision log.

    ``cause_ms`` is the Kafka timestamp of the record that was being applied: latency is measured from it.
    """

    decision: Decision
    cause_ms: int


class ForgetDecision(Struct, frozen=True):
    """Put a tombstone on the control topic: the release it ends has outlived every older decision."""

    key: str


class EmitSignal(Struct, frozen=True):
    """Hand a tenant's signal to the campaign stage."""

    signal: Signal


class EmitVerdict(Struct, frozen=True):
    """Hand a campaign's verdict to the tenant stage; ``offset`` (of a signal) and ``number`` tell repetitions."""

    verdict: Verdict
    offset: int
    number: int


class EmitCampaign(Struct, frozen=True):
    """Put a campaign's header, or a member's entry, on the campaigns topic and its log; without one, a tombstone."""

    key: str
    entry: dict[str, Any] | None


class DeadLetter(Struct, frozen=True):
    """Put a refused input on the dead-letter topic with its reason and where it came from."""

    topic: str
    partition: int
    offset: int
    reason: RejectReason
    detail: str
    index: int | None
    original: bytes


class Tally(Struct):
    """What became of the events of one chunk; ``forgotten`` counts tenants, ``withheld`` denials beyond the budget,
    ``ticks`` those of the campaign stage, after which it knows so many ``campaigns``.

    ``fields`` says how many of the ``sampled`` events had each optional field.
    """

    applied: int = 0
    late: int = 0
    repeated: int = 0
    rejected: int = 0
    forgotten: int = 0
    newest_event_ms: int = 0
    withheld: int = 0
    ticks: int = 0
    campaigns: int = -1
    sampled: int = 0
    fields: dict[str, int] = field(default_factory=dict)

    def sample(self, event: Event) -> None:
        """Note which optional fields an event has."""
        self.sampled += 1
        for name in OPTIONAL_FIELDS:
            if getattr(event, name) is not UNSET:
                self.fields[name] = self.fields.get(name, 0) + 1

    def add(self, other: "Tally") -> None:
        """Count another chunk's events, too."""
        self.applied += other.applied
        self.late += other.late
        self.repeated += other.repeated
        self.rejected += other.rejected
        self.forgotten += other.forgotten
        self.withheld += other.withheld
        self.ticks += other.ticks
        self.campaigns = other.campaigns if other.campaigns >= 0 else self.campaigns
        self.sampled += other.sampled
        for name, count in other.fields.items():
            self.fields[name] = self.fields.get(name, 0) + count
        self.newest_event_ms = max(self.newest_event_ms, other.newest_event_ms)


Effect = EmitDecision | ForgetDecision | EmitSignal | EmitVerdict | EmitCampaign | DeadLetter
