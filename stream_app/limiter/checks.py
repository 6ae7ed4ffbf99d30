"""The question a gateway asks before it serves a request, and its answer."""

import time
from collections.abc import Callable
from math import ceil

from msgspec import Struct
from prometheus_client import CollectorRegistry

from stream_app.detection.decisions import Action
from stream_app.detection.events import Name, Text, Tokens
from stream_app.limiter.allowances import Allowance
from stream_app.limiter.decisions_table import DecisionsTable, KnownDecision, SubjectKey
from stream_app.limiter.metrics import LimiterMetrics

#: Longer than a rolling restart of the brokers takes, shorter than most decisions live.
MAX_AGE_S = 600

#: The fault of a table that has never been complete: until then nobody knows how the switch stands either.
NOT_READY = "table_not_ready"

#: What a caller is told to wait when only the table is at fault: it is read again every second.
RETRY_UNREADY_S = 1


class RequestFacts(Struct, frozen=True, forbid_unknown_fields=True):
    """What the gateway knows of one request before serving it.

    ``tokens`` is what the request will be charged against a token limit; left out, it is charged none.
    """

    tenant_id: Name
    account_id: Name
    payment_fp: Text | None = None
    signup_fp: Text | None = None
    ip_prefix: Text | None = None
    tokens: Tokens = 0

    def subject_keys(self) -> list[SubjectKey]:
        """The subjects this request belongs to, one per scope."""
        keys: list[SubjectKey] = [("tenant", self.tenant_id), ("account", self.tenant_id, self.account_id)]
        if self.payment_fp is not None:
            keys.append(("payment_fp", self.payment_fp))
        if self.signup_fp is not None:
            keys.append(("signup_fp", self.signup_fp))
        if self.ip_prefix is not None:
            keys.append(("ip_prefix", self.ip_prefix))
        return keys


_ALLOW = Action.ALLOW.severity
_THROTTLE = Action.THROTTLE.severity
_NO_DECISION = Allowance(allowed=True, action=Action.ALLOW, reason_code="no_decision")
_ENFORCEMENT_OFF = Allowance(allowed=True, action=Action.ALLOW, reason_code="enforcement_off")


class Limiter:
    """Answers checks from a table of decisions; safe to share between threads.

    ``clock`` gives Unix time in seconds. While the table is incomplete or older than ``max_age_s`` its decisions are
    not used: every check is allowed if ``fail_open``, else denied, with the reason ``table_not_ready`` or
    ``table_stale``. ``is_enforced`` is set by whoever follows the operator topic: once it is known and false, every
    check is allowed with the reason ``enforcement_off``, whatever the table, its age or ``fail_open`` say.
    """

    def __init__(
        self,
        table: DecisionsTable,
        registry: CollectorRegistry,
        *,
        fail_open: bool = True,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.table = table
        self.is_enforced = True
        self.metrics = LimiterMetrics(registry, table, self.now_ms, lambda: self.is_enforced)
        self._fail_open = fail_open
        self._max_age_s = max_age_s
        self._clock = clock

    def now_ms(self) -> int:
        """The limiter's own time."""
        return int(self._clock() * 1000)

    def check(self, facts: RequestFacts) -> Allowance:
        """May this request pass? Spends from the subject's buckets if it is throttled and passes.

        The strictest enforced, unexpired decision over the request's scopes wins; an enforced allow by an operator
        sets aside all decisions that are not an operator's. Of equally strict ones the last to expire speaks.
        """
        now_ms = self.now_ms()
        fault = self.fault(now_ms)
        if fault is not None or not self.is_enforced:
            return self._without_decisions(fault)
        decisions = self.table.find(facts.subject_keys(), now_ms)
        allowance = self._weigh(decisions, facts.tokens, now_ms) if decisions else _NO_DECISION
        self.metrics.count_check("allow" if allowance.allowed else allowance.action)
        return allowance

    def check_unidentified(self) -> Allowance:
        """The answer to a request of which a gateway does not say whose it is: as if there were no decisions."""
        if not self.is_enforced:
            return self._without_decisions(None)
        self.metrics.count_check("unidentified")
        return self._without_facts("unidentified")

    def fault(self, now_ms: int) -> str | None:
        """Why the table cannot be relied on: ``table_not_ready``, ``table_stale``, or None."""
        age_s = self.table.age_s(now_ms)
        if age_s is None:
            return NOT_READY
        return "table_stale" if age_s > self._max_age_s else None

    def _without_decisions(self, fault: str | None) -> Allowance:
        if fault is None or (fault != NOT_READY and not self.is_enforced):
            self.metrics.count_check("enforcement_off")
            return _ENFORCEMENT_OFF
        self.metrics.count_check("fail_open" if self._fail_open else "fail_closed")
        return self._without_facts(fault)

    def _without_facts(self, reason_code: str) -> Allowance:
        if self._fail_open:
            return Allowance(allowed=True, action=Action.ALLOW, reason_code=reason_code)
        return Allowance(allowed=False, action=Action.BLOCK, reason_code=reason_code, retry_after_s=RETRY_UNREADY_S)

    def _weigh(self, decisions: list[KnownDecision], tokens: int, now_ms: int) -> Allowance:
        enforced, spoken = decisions, decisions[0]
        if len(decisions) > 1:
            enforced = _in_force(decisions)
            spoken = max(enforced or decisions, key=_strictness)
        if spoken.simulated or spoken.severity < _THROTTLE:
            return spoken.passing
        if spoken.severity == _THROTTLE:
            return self._spend(enforced, spoken, tokens, now_ms)
        return _deny(spoken, spoken.expires_ms - now_ms)

    def _spend(self, enforced: list[KnownDecision], spoken: KnownDecision, tokens: int, now_ms: int) -> Allowance:
        """Every throttle in force must have room; then all are charged. The one to wait for longest denies."""
        if len(enforced) == 1:  # nearly always
            throttle = spoken.throttle
            with self.table.spending:
                alone_ms = throttle.wait_ms(tokens, now_ms)
                if not alone_ms:
                    throttle.take(tokens)
                    return spoken.passing
            return _deny(spoken, min(alone_ms, spoken.expires_ms - now_ms))
        slowest, longest_ms = spoken, 0.0
        with self.table.spending:
            for decision in enforced:
                wait_ms = decision.throttle.wait_ms(tokens, now_ms)
                if wait_ms:
                    wait_ms = min(wait_ms, decision.expires_ms - now_ms)
                    if wait_ms > longest_ms:
                        slowest, longest_ms = decision, wait_ms
            if not longest_ms:
                for decision in enforced:
                    decision.throttle.take(tokens)
        return _deny(slowest, longest_ms) if longest_ms else spoken.passing


def _in_force(decisions: list[KnownDecision]) -> list[KnownDecision]:
    enforced = [decision for decision in decisions if not decision.simulated]
    if any(decision.is_operators and decision.severity == _ALLOW for decision in enforced):
        return [decision for decision in enforced if decision.is_operators]
    return enforced


def _strictness(decision: KnownDecision) -> tuple[int, int]:
    return decision.action.severity, decision.expires_ms


def _deny(decision: KnownDecision, wait_ms: float) -> Allowance:
    return Allowance(
        allowed=False,
        action=decision.action,
        reason_code=decision.reason_code,
        decision_id=decision.decision_id,
        retry_after_s=ceil(wait_ms / 1000),
    )
