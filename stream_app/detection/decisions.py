"""Decision v1 (``schemas/decision``): what the control topic says about one subject, with its evidence."""

from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, NamedTuple
from urllib.parse import quote, unquote

from msgspec import UNSET, Meta, Struct, UnsetType

#: Enough to look at by hand; the offsets in ``Evidence.sources`` lead to the rest.
MAX_SAMPLE_EVENTS = 5

Word = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Score = Annotated[float, Meta(ge=0, le=1)]
UtcTime = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|\+00:00)\Z")
]


class Action(StrEnum):
    """Rungs of the ladder, mildest first."""

    ALLOW = "allow"
    OBSERVE = "observe"
    THROTTLE = "throttle"
    CHALLENGE = "challenge"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """Position on the ladder, 0 (allow) to 4 (block)."""
        return _SEVERITY[self]


_SEVERITY = {action: severity for severity, action in enumerate(Action)}


class Reason(Struct, frozen=True, omit_defaults=True):
    """One feature that was out of its expected range.

    ``observed`` was seen in the last ``window_s`` seconds of event time, ``expected`` is what the subject's own history
    makes usual; both in ``unit``. ``score`` is 0..1, higher is worse. With ``compared_with`` that is not its history:
    ``newcomers`` is how others began.
    """

    code: Word
    observed: float
    expected: float
    unit: str
    window_s: Count
    score: Score
    compared_with: Word | UnsetType = UNSET


class Limit(Struct, frozen=True, omit_defaults=True):
    """What a throttled subject may still use; a missing rate is not limited."""

    requests_per_minute: Count | UnsetType = UNSET
    tokens_per_minute: Count | UnsetType = UNSET


class Source(Struct, frozen=True):
    """A run of offsets in one partition which holds the evidence, both ends included."""

    topic: Word
    partition: Count
    first_offset: Count
    last_offset: Count


class Evidence(Struct, frozen=True, omit_defaults=True):
    """The events behind a decision; times are event times in RFC 3339."""

    events: Count
    first_time: UtcTime
    last_time: UtcTime
    sources: list[Source]
    sample_event_ids: Annotated[list[Word], Meta(max_length=MAX_SAMPLE_EVENTS)] = []


class PolicyRef(Struct, frozen=True):
    """The policy version and the rung of its ladder that spoke."""

    version: Word
    rung: Word


class ModelRef(Struct, frozen=True):
    """The scorer that was asked."""

    name: Word
    version: Word


class Budget(Struct, frozen=True, omit_defaults=True):
    """The harm budget in force: denials allowed and used in the hour; ``withheld`` is the rung it kept back."""

    allowed: Count
    used: Count
    withheld: Word | UnsetType = UNSET


class Listing(Struct, frozen=True):
    """The entry of a list that bore on the decision: the list's name, what it says of the subject, and its end."""

    list: Word
    reason: Word
    until: UtcTime


class Decision(Struct, frozen=True, omit_defaults=True):
    """One record of the control topic, keyed ``scope:subject``.

    Times are RFC 3339 in UTC. ``issued_at`` is the event time of the cause; consumers compare ``expires_at`` with
    their own clock. ``revision`` rises for ever within a key: a consumer ignores a lower one than it has seen.
    """

    decision_id: Word
    scope: Word
    subject: Word
    tenant_id: str
    action: Action
    simulated: bool
    origin: Word
    reasons: list[Reason]
    policy: PolicyRef
    issued_at: UtcTime
    expires_at: UtcTime
    revision: Count
    account_id: str | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET
    counterfactual: str | UnsetType = UNSET
    campaign_id: str | UnsetType = UNSET
    evidence: Evidence | UnsetType = UNSET
    model: ModelRef | UnsetType = UNSET
    supersedes: str | UnsetType = UNSET
    runbook_url: str | UnsetType = UNSET
    harm_budget: Budget | UnsetType = UNSET
    listed: Listing | UnsetType = UNSET

    @property
    def key(self) -> str:
        """The record's Kafka key."""
        return f"{self.scope}:{self.subject}"


class Subject(NamedTuple):
    """Whom a decision is about: a tenant, or one account in it."""

    tenant_id: str
    account_id: str | None = None

    @property
    def scope(self) -> str:
        """Kind of subject."""
        return "tenant" if self.account_id is None else "account"

    @property
    def text(self) -> str:
        """Percent-encoded, as in decisions."""
        if self.account_id is None:
            return tenant_subject(self.tenant_id)
        return account_subject(self.tenant_id, self.account_id)

    @property
    def key(self) -> str:
        """Key on the control topic."""
        return f"{self.scope}:{self.text}"


def tenant_subject(tenant_id: str) -> str:
    """Percent-encoded subject of scope ``tenant``."""
    return quote(tenant_id, safe="")


def account_subject(tenant_id: str, account_id: str) -> str:
    """Percent-encoded subject of scope ``account``: ``TENANT/ACCOUNT``."""
    return f"{quote(tenant_id, safe='')}/{quote(account_id, safe='')}"


def split_key(key: str) -> tuple[str, tuple[str, ...]]:
    """Scope and decoded subject parts of a control topic key; raises ``ValueError`` when there is no scope."""
    scope, colon, subject = key.partition(":")
    if not colon or not scope or not subject:
        raise ValueError(f"not a control topic key such as tenant:acme: {key!r}")
    return scope, tuple(unquote(part) for part in subject.split("/"))


def decision_id(key: str, rule: str, rung: str, pane_ms: int) -> str:
    """Deterministic id: the same cause gives the same id after a crash or in a replay."""
    cause = "\x1f".join((key, rule, rung, str(pane_ms)))
    return blake2b(cause.encode(), digest_size=12).hexdigest()
