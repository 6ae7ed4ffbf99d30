"""The reference limiter: its table, its checks and its HTTP face, on a clock of the test's own."""

import asyncio
from datetime import UTC, datetime
from math import inf
from threading import Thread
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from stream_app.cli.limiter import limiter as command
from stream_app.detection.decisions import Action, account_subject
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter, RequestFacts, create_http_app
from stream_app.limiter.buckets import MS_PER_MINUTE, Bucket
from stream_app.limiter.switches import read_switch
from tests.unit.streams import operator_record

NOW_MS = 1_800_000_000_000
DAY_S = 86_400
FACTS = RequestFacts(tenant_id="acme", account_id="bob", payment_fp="p1", signup_fp="s1", ip_prefix="203.0.113.0/24")

Log = list[tuple[bytes, bytes | None]]


def rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def decision(key: str = "tenant:acme", **changes: Any) -> tuple[bytes, bytes]:
    scope, _, subject = key.partition(":")
    fields = {
        "decision_id": f"{key} {changes.get('action', 'block')} {changes.get('revision', 1)}",
        "scope": scope,
        "subject": subject,
        "tenant_id": "acme",
        "action": "block",
        "simulated": False,
        "origin": "detector",
        "reasons": [{"code": "requests_surge", "observed": 9, "expected": 1, "unit": "1", "window_s": 60, "score": 1}],
        "policy": {"version": "1", "rung": "block"},
        "issued_at": rfc3339(NOW_MS),
        "expires_at": rfc3339(NOW_MS + 3_600_000),
        "revision": 1,
    }
    return key.encode(), orjson.dumps(fields | changes)


class Desk:
    """A limiter with a complete table, whose time stands still until moved."""

    def __init__(self, *records: tuple[bytes, bytes | None], **limits: Any) -> None:
        self.ms = NOW_MS
        self.registry = CollectorRegistry()
        self.table = DecisionsTable()
        self.limiter = Limiter(self.table, self.registry, clock=lambda: self.ms / 1000, **limits)
        self.problems = [self.table.apply(*record, self.ms) for record in records]
        self.table.mark_complete(self.ms)

    def read(self, *records: tuple[bytes, bytes | None]) -> None:
        self.problems += [self.table.apply(*record, self.ms) for record in records]

    def pass_s(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)
        self.table.mark_complete(self.ms)

    def ask(self, **facts: Any) -> Any:
        return self.limiter.check(RequestFacts(**({"tenant_id": "acme", "account_id": "bob"} | facts)))

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"stillwatch_limiter_{name}", labels)


def test_subject_without_a_decision_passes() -> None:
    allowance = Desk(decision("tenant:other")).ask()
    assert allowance.allowed
    assert (allowance.action, allowance.reason_code, allowance.decision_id) == (Action.ALLOW, "no_decision", None)


@pytest.mark.parametrize(
    "key",
    ["tenant:acme", "account:acme/bob", "payment_fp:p1", "signup_fp:s1", "ip_prefix:203.0.113.0%2F24"],
)
def test_a_block_of_any_scope_denies_until_it_expires(key: str) -> None:
    desk = Desk(decision(key))
    desk.pass_s(3_599.5)
    denied = desk.limiter.check(FACTS)
    assert (denied.allowed, denied.action, denied.reason_code) == (False, Action.BLOCK, "requests_surge")
    assert (denied.decision_id, denied.retry_after_s) == (f"{key} block 1", 1)
    desk.pass_s(0.5)
    assert desk.limiter.check(FACTS).allowed


def test_accounts_of_the_same_name_in_other_tenants_pass() -> None:
    desk = Desk(decision("account:acme/bob"))
    assert desk.ask(tenant_id="other").allowed
    assert desk.ask(account_id="eve").allowed


@given(tenant_id=st.text(min_size=1, max_size=20), account_id=st.text(min_size=1, max_size=20))
def test_names_of_any_letters_find_their_decision(tenant_id: str, account_id: str) -> None:
    tenant_id, account_id = (name.encode(errors="replace").decode() for name in (tenant_id, account_id))
    desk = Desk(decision(f"account:{account_subject(tenant_id, account_id)}"))
    assert desk.problems == [None]
    assert not desk.ask(tenant_id=tenant_id, account_id=account_id).allowed


def test_challenge_denies_and_says_that_it_is_a_challenge() -> None:
    denied = Desk(decision(action="challenge")).ask()
    assert (denied.allowed, denied.action, denied.retry_after_s) == (False, Action.CHALLENGE, 3_600)


def test_observe_never_denies() -> None:
    allowance = Desk(decision(action="observe")).ask()
    assert (allowance.allowed, allowance.action) == (True, Action.OBSERVE)


@pytest.mark.parametrize("action", ["throttle", "challenge", "block"])
def test_simulated_decisions_pass_and_tell_what_would_have_been(action: str) -> None:
    allowance = Desk(decision(action=action, simulated=True, limit={"requests_per_minute": 0})).ask()
    assert (allowance.allowed, allowance.simulated, allowance.action) == (True, True, action)


@given(order=st.permutations(["tenant:acme", "account:acme/bob", "payment_fp:p1", "signup_fp:s1"]))
def test_the_strictest_of_several_scopes_wins(order: list[str]) -> None:
    actions = ("observe", "throttle", "block", "challenge")
    desk = Desk(*(decision(key, action=action) for key, action in zip(order, actions, strict=True)))
    assert desk.limiter.check(FACTS).decision_id == f"{order[2]} block 1"


def test_of_equal_blocks_the_last_to_expire_tells_when_to_come_back() -> None:
    later = decision("account:acme/bob", expires_at=rfc3339(NOW_MS + 7_200_000))
    assert Desk(decision(), later).ask().retry_after_s == 7_200


def test_a_simulated_block_does_not_hide_an_enforced_challenge() -> None:
    denied = Desk(decision(simulated=True), decision("account:acme/bob", action="challenge")).ask()
    assert (denied.allowed, denied.action) == (False, Action.CHALLENGE)


class TestOperatorsAllow:
    ALLOW = decision("account:acme/bob", action="allow", origin="operator", expires_at=rfc3339(NOW_MS + 60_000))

    def test_beats_detector_and_partner(self) -> None:
        desk = Desk(decision(), decision("payment_fp:p1", origin="partner"), self.ALLOW)
        assert desk.limiter.check(FACTS).decision_id == "account:acme/bob allow 1"
        assert desk.limiter.check(FACTS).allowed

    def test_ends_when_it_expires(self) -> None:
        desk = Desk(decision(), self.ALLOW)
        desk.pass_s(60)
        assert not desk.ask().allowed

    def test_does_not_beat_an_operators_block(self) -> None:
        assert not Desk(decision(origin="operator"), self.ALLOW).ask().allowed

    def test_simulated_has_no_effect(self) -> None:
        simulated = decision("account:acme/bob", action="allow", origin="operator", simulated=True)
        assert not Desk(decision(), simulated).ask().allowed

    def test_a_detectors_allow_does_not_beat_a_block(self) -> None:
        assert not Desk(decision(), decision("account:acme/bob", action="allow")).ask().allowed


def throttle(key: str = "tenant:acme", revision: int = 1, lives_s: int = 3_600, **limit: int) -> tuple[bytes, bytes]:
    expires_at = rfc3339(NOW_MS + lives_s * 1000)
    return decision(key, action="throttle", limit=limit, revision=revision, expires_at=expires_at)


class TestThrottle:
    def test_admits_nothing_at_first_and_then_the_rate(self) -> None:
        desk = Desk(throttle(requests_per_minute=6))
        assert (desk.ask().allowed, desk.ask().retry_after_s) == (False, 10)
        desk.pass_s(9.999)
        assert not desk.ask().allowed
        desk.pass_s(0.001)
        assert [desk.ask().allowed for _ in range(2)] == [True, False]

    def test_saves_up_one_minute_at_most(self) -> None:
        desk = Desk(throttle(requests_per_minute=6))
        desk.pass_s(600)
        assert [desk.ask().allowed for _ in range(7)] == [True] * 6 + [False]
        assert desk.ask().retry_after_s == 10

    def test_counts_tokens(self) -> None:
        desk = Desk(throttle(tokens_per_minute=1_000))
        desk.pass_s(60)
        assert desk.ask(tokens=900).allowed
        denied = desk.ask(tokens=400)
        assert (denied.allowed, denied.action, denied.retry_after_s) == (False, Action.THROTTLE, 18)
        assert desk.ask(tokens=100).allowed

    def test_a_request_of_no_tokens_needs_no_tokens(self) -> None:
        desk = Desk(throttle(tokens_per_minute=100))
        assert [desk.ask(tokens=tokens).allowed for tokens in (1, 0)] == [False, True]

    def test_a_denied_request_spends_nothing(self) -> None:
        desk = Desk(throttle(requests_per_minute=1, tokens_per_minute=100))
        desk.pass_s(60)
        assert not desk.ask(tokens=101).allowed
        assert desk.ask(tokens=100).allowed

    def test_the_slower_of_two_limits_tells_when_to_come_back(self) -> None:
        desk = Desk(throttle(requests_per_minute=2, tokens_per_minute=100))
        assert [desk.ask(tokens=tokens).retry_after_s for tokens in (10, 90)] == [30, 54]

    def test_more_tokens_than_a_minute_gives_wait_for_the_end_of_the_throttle(self) -> None:
        desk = Desk(throttle(tokens_per_minute=100))
        desk.pass_s(600)
        assert desk.ask(tokens=101).retry_after_s == 3_000
        assert desk.ask(tokens=100).allowed

    def test_nobody_waits_longer_than_the_throttle_lives(self) -> None:
        assert Desk(throttle(requests_per_minute=1, lives_s=20)).ask().retry_after_s == 20

    def test_limit_zero_admits_nothing(self) -> None:
        desk = Desk(throttle(requests_per_minute=0))
        desk.pass_s(600)
        assert (desk.ask().allowed, desk.ask().retry_after_s) == (False, 3_000)

    def test_without_a_limit_everything_passes(self) -> None:
        desk = Desk(decision(action="throttle"))
        assert all(desk.ask(tokens=10**9).allowed for _ in range(100))

    def test_both_throttles_of_two_scopes_hold(self) -> None:
        desk = Desk(throttle(requests_per_minute=3), throttle("account:acme/bob", requests_per_minute=1))
        desk.pass_s(60)
        assert [desk.ask().allowed for _ in range(2)] == [True, False]
        assert [desk.ask(account_id="eve").allowed for _ in range(3)] == [True, True, False]

    @pytest.mark.parametrize(("tenant", "account", "wait_s"), [(6, 1, 60), (1, 6, 60), (6, 2, 30)])
    def test_the_slower_of_two_scopes_denies_and_tells_when_to_come_back(
        self, tenant: int, account: int, wait_s: int
    ) -> None:
        desk = Desk(throttle(requests_per_minute=tenant), throttle("account:acme/bob", requests_per_minute=account))
        denied = desk.ask()
        slower = "tenant:acme" if tenant < account else "account:acme/bob"
        assert (denied.decision_id, denied.retry_after_s) == (f"{slower} throttle 1", wait_s)
        desk.pass_s(wait_s)
        assert desk.ask().allowed

    def test_threads_share_one_bucket(self) -> None:
        desk = Desk(throttle(requests_per_minute=500))
        desk.pass_s(60)
        answers: list[bool] = []
        threads = [Thread(target=lambda: answers.extend(desk.ask().allowed for _ in range(500))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(answers), sum(answers)) == (2_000, 500)


class TestRenewedThrottle:
    def test_repeated_it_grants_no_new_burst_and_takes_nothing(self) -> None:
        desk = Desk(throttle(requests_per_minute=4))
        desk.pass_s(30)
        assert desk.ask().allowed
        desk.read(throttle(requests_per_minute=4))
        assert [desk.ask().allowed for _ in range(2)] == [True, False]

    def test_at_a_higher_rate_it_fills_faster_from_what_is_left(self) -> None:
        desk = Desk(throttle(requests_per_minute=2))
        desk.pass_s(60)
        assert [desk.ask().allowed for _ in range(3)] == [True, True, False]
        desk.read(throttle(requests_per_minute=4, revision=2))
        assert not desk.ask().allowed
        desk.pass_s(15)
        assert [desk.ask().allowed for _ in range(2)] == [True, False]

    @pytest.mark.parametrize(("before", "after", "saved"), [(2, 600, 1), (600, 2, 2), (4, 3, 2)])
    def test_the_time_before_it_counts_at_the_old_rate(self, before: int, after: int, saved: int) -> None:
        desk = Desk(throttle(requests_per_minute=before))
        desk.pass_s(30)
        desk.read(throttle(requests_per_minute=after, revision=2))
        assert [desk.ask().allowed for _ in range(saved + 1)] == [True] * saved + [False]

    @pytest.mark.parametrize(
        "earlier",
        [
            decision(action="throttle", limit={"requests_per_minute": 2}, simulated=True),
            throttle(requests_per_minute=2, lives_s=60),
            decision(action="challenge"),
            decision(action="throttle", limit={"tokens_per_minute": 2}),
        ],
        ids=["simulated", "expired", "challenge", "other limit"],
    )
    def test_time_in_which_nothing_was_charged_saves_nothing(self, earlier: tuple[bytes, bytes]) -> None:
        desk = Desk(earlier)
        desk.pass_s(60)
        desk.read(throttle(requests_per_minute=2, revision=2))
        assert not desk.ask().allowed


@given(
    per_minute=st.integers(0, 10_000),
    steps=st.lists(st.tuples(st.integers(-5_000, 90_000), st.integers(0, 300)), max_size=60),
)
def test_a_bucket_admits_its_rate_from_the_start_and_one_burst_more_in_any_later_span(
    per_minute: int, steps: list[tuple[int, int]]
) -> None:
    bucket = Bucket(per_minute, NOW_MS)
    now_ms = latest_ms = NOW_MS
    taken: list[tuple[int, int]] = []
    for step_ms, units in steps:
        now_ms += step_ms
        latest_ms = max(latest_ms, now_ms)
        if bucket.wait_ms(units, now_ms) == 0:
            bucket.take(units)
            taken.append((latest_ms, units))
            assert sum(units for _, units in taken) * MS_PER_MINUTE <= per_minute * (latest_ms - NOW_MS)
        admitted = 0
        for at_ms, units_then in reversed(taken):
            admitted += units_then
            assert admitted * MS_PER_MINUTE <= per_minute * (latest_ms - at_ms + MS_PER_MINUTE)


@given(
    rates=st.lists(st.tuples(st.integers(1, 1_000), st.integers(0, 90_000)), min_size=1, max_size=8),
    units=st.integers(1, 5),
)
def test_changing_rates_admit_no_more_than_each_gives_in_its_time(rates: list[tuple[int, int]], units: int) -> None:
    bucket, now_ms, given_so_far, admitted = Bucket(0, NOW_MS), NOW_MS, 0, 0
    for per_minute, lives_ms in rates:
        bucket = bucket.resized(per_minute, now_ms)
        now_ms += lives_ms
        given_so_far += per_minute * lives_ms
        while bucket.wait_ms(units, now_ms) == 0:
            bucket.take(units)
            admitted += units
        assert admitted * MS_PER_MINUTE <= given_so_far


@given(per_minute=st.integers(1, 10_000), saved_ms=st.integers(0, MS_PER_MINUTE), units=st.data())
def test_what_waits_as_told_is_admitted_and_not_earlier(per_minute: int, saved_ms: int, units: st.DataObject) -> None:
    bucket = Bucket(per_minute, NOW_MS)
    asked_ms = NOW_MS + saved_ms
    wanted = units.draw(st.integers(1, per_minute))
    wait_ms = int(bucket.wait_ms(wanted, asked_ms))
    assert wait_ms == 0 or bucket.wait_ms(wanted, asked_ms + wait_ms - 1) > 0
    assert bucket.wait_ms(wanted, asked_ms + wait_ms) == 0
    assert bucket.wait_ms(per_minute + 1, asked_ms + wait_ms) == inf


class TestRevisions:
    def test_a_lower_one_changes_nothing(self) -> None:
        desk = Desk(decision(action="observe", revision=5), decision(action="block", revision=4))
        assert desk.ask().action is Action.OBSERVE

    def test_a_higher_one_replaces_even_by_something_milder_or_expired(self) -> None:
        desk = Desk(decision(revision=4), decision(revision=5, expires_at=rfc3339(NOW_MS)))
        assert desk.ask().reason_code == "no_decision"

    def test_a_late_write_after_a_tombstone_revives_nothing(self) -> None:
        desk = Desk(decision(revision=5), (b"tenant:acme", None), decision(revision=4))
        assert desk.ask().allowed
        desk.read(decision(revision=6))
        assert not desk.ask().allowed

    def test_a_late_write_after_an_expired_release_revives_nothing_for_a_day(self) -> None:
        release = decision(action="allow", revision=5, expires_at=rfc3339(NOW_MS + 1_000))
        late = decision(revision=4, expires_at=rfc3339(NOW_MS + 3 * DAY_S * 1000))
        desk = Desk(release)
        desk.pass_s(DAY_S)
        desk.table.drop_expired(desk.ms)
        desk.read(late)
        assert desk.ask().allowed

    def test_are_kept_per_subject(self) -> None:
        desk = Desk(decision("tenant:other", revision=9), decision(revision=1))
        assert not desk.ask().allowed


class TestUnreadableRecords:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            (b"tenant:acme", b""),
            (b"tenant:acme", b"{"),
            (b"tenant:acme", b"[]"),
            (b"tenant:acme", b"\xff\xfe"),
            (b"tenant:acme", b'{"x": ' + b"[" * 100_000),
            (b"tenant:acme", b'{"action":"block"}'),
            (b"tenant:acme", decision(action="vaporise")[1]),
            (b"tenant:acme", decision(expires_at="tomorrow")[1]),
            (b"tenant:acme", decision(expires_at="2027-01-15T09:00:00")[1]),
            (b"tenant:acme", decision(revision="2")[1]),
            (b"tenant:acme", decision(action="throttle", limit={"requests_per_minute": -1})[1]),
            (b"tenant:other", decision()[1]),
            (b"account:acme", decision("account:acme")[1]),
            (b"acme", decision()[1]),
            (b"\xff", decision()[1]),
            (None, decision()[1]),
            (None, None),
        ],
    )
    def test_keep_what_was_known_and_say_why(self, key: bytes | None, value: bytes | None) -> None:
        desk = Desk(decision(revision=1))
        problem = desk.table.apply(key, value, desk.ms)
        assert problem
        assert "\n" not in problem
        assert not desk.ask().allowed

    @given(key=st.none() | st.binary(max_size=30), value=st.none() | st.binary(max_size=60))
    def test_nothing_that_can_be_in_a_record_raises(self, key: bytes | None, value: bytes | None) -> None:
        DecisionsTable().apply(key, value, NOW_MS)

    def test_unknown_fields_and_scopes_are_no_problem(self) -> None:
        desk = Desk(decision(mood="grim", evidence={"events": "many"}), decision("planet:mars"))
        assert desk.problems == [None, None]
        assert not desk.ask().allowed


KEYS = ("tenant:acme", "account:acme/bob", "payment_fp:p1")


@st.composite
def key_logs(draw: st.DrawFn, key: str) -> Log:
    """What one key's writer may leave in the log: decisions, some written late, and tombstones."""
    record = st.builds(
        lambda action, revision, simulated, lives_s: decision(
            key, action=action, revision=revision, simulated=simulated, expires_at=rfc3339(NOW_MS + lives_s * 1000)
        ),
        st.sampled_from(["allow", "observe", "challenge", "block"]),
        st.integers(1, 6),
        st.booleans(),
        st.integers(-10, 100),
    )
    return draw(st.lists(record | st.just((key.encode(), None)), max_size=8))


def answers(desk: Desk) -> list[Any]:
    return [desk.ask(), desk.ask(account_id="eve"), desk.limiter.check(FACTS), desk.table.count_active()]


@given(logs=st.tuples(*map(key_logs, KEYS)), picks=st.randoms(use_true_random=False))
def test_only_the_order_within_a_key_matters(logs: tuple[Log, ...], picks: Any) -> None:
    in_turn = [record for log in logs for record in log]
    turns = [number for number, log in enumerate(logs) for _ in log]
    picks.shuffle(turns)
    left = [iter(log) for log in logs]
    mixed = [next(left[number]) for number in turns]
    assert answers(Desk(*in_turn)) == answers(Desk(*mixed))


@given(log=key_logs("tenant:acme"), repeats=st.integers(0, 8))
def test_reading_the_log_again_from_the_beginning_changes_nothing(log: Log, repeats: int) -> None:
    desk = Desk(*log)
    before = answers(desk)
    desk.read(*log[:repeats], *log)
    assert answers(desk) == before


@given(log=key_logs("tenant:acme"), late=st.integers(1, 6))
def test_lower_revisions_never_change_the_outcome(log: Log, late: int) -> None:
    desk = Desk(*log, decision(action="challenge", revision=late + 1))
    before = answers(desk)
    desk.read(decision(action="block", revision=late))
    assert answers(desk) == before


def test_memory_is_freed_a_day_after_a_decision_ended() -> None:
    desk = Desk(*(decision(f"tenant:t{number}") for number in range(100)))
    desk.read((b"tenant:t0", None), (b"tenant:never-seen", None))
    assert len(desk.table) == 100
    desk.pass_s(3_600)
    desk.table.drop_expired(desk.ms)
    assert desk.table.count_active() == {}
    desk.pass_s(DAY_S)
    desk.table.drop_expired(desk.ms)
    assert len(desk.table) == 0


class TestWithoutATable:
    def unready(self, *, fail_open: bool) -> Desk:
        desk = Desk(decision())
        desk.table = DecisionsTable()
        desk.table.apply(*decision(), desk.ms)
        desk.limiter = Limiter(desk.table, CollectorRegistry(), fail_open=fail_open, clock=lambda: desk.ms / 1000)
        return desk

    def test_fail_open_allows_before_the_first_complete_read(self) -> None:
        desk = self.unready(fail_open=True)
        allowance = desk.ask()
        assert (allowance.allowed, allowance.reason_code) == (True, "table_not_ready")
        desk.table.mark_complete(desk.ms)
        assert not desk.ask().allowed

    def test_fail_closed_denies_before_it(self) -> None:
        desk = self.unready(fail_open=False)
        denied = desk.ask(tenant_id="other")
        assert (denied.allowed, denied.reason_code, denied.decision_id) == (False, "table_not_ready", None)
        assert denied.retry_after_s > 0
        desk.table.mark_complete(desk.ms)
        assert desk.ask(tenant_id="other").allowed

    @pytest.mark.parametrize("fail_open", [True, False])
    def test_a_table_older_than_the_limit_is_not_used(self, fail_open: bool) -> None:
        desk = Desk(decision(), fail_open=fail_open, max_age_s=60)
        desk.ms += 60_000
        assert desk.ask().decision_id is not None
        desk.ms += 1
        allowance = desk.ask()
        assert (allowance.allowed, allowance.reason_code) == (fail_open, "table_stale")


def test_metrics_show_age_outcomes_and_content() -> None:
    desk = Desk(decision(), decision("tenant:x", action="challenge"), decision("tenant:y", simulated=True))
    for tenant_id in ("acme", "x", "y", "z"):
        desk.ask(tenant_id=tenant_id)
    desk.ms += 2_500
    assert desk.sample("table_age_seconds") == 2.5
    assert [desk.sample("checks_total", outcome=name) for name in ("block", "challenge", "allow")] == [1, 1, 2]
    enforced = [desk.sample("decisions", action=name, simulated="false") for name in ("block", "challenge", "throttle")]
    assert enforced == [1, 1, 0]
    assert desk.sample("decisions", action="block", simulated="true") == 1
    assert desk.sample("unreadable_records_total") == 0


def test_age_is_infinite_before_the_table_was_complete() -> None:
    registry = CollectorRegistry()
    Limiter(DecisionsTable(), registry, clock=lambda: NOW_MS / 1000)
    assert registry.get_sample_value("stillwatch_limiter_table_age_seconds") == inf


def test_while_enforcement_is_off_everything_passes_and_says_why() -> None:
    desk = Desk(decision(action="block"), fail_open=False)
    assert not desk.ask().allowed
    desk.limiter.is_enforced = False
    allowance = desk.ask()
    assert (allowance.allowed, allowance.reason_code) == (True, "enforcement_off")
    assert desk.sample("enforced") == 0
    assert desk.sample("checks_total", outcome="enforcement_off") == 1
    assert desk.limiter.fault(desk.ms) is None
    desk.ms += 3_600_000  # the table is too old, and would deny
    assert desk.ask().reason_code == "enforcement_off"
    desk.limiter.is_enforced = True
    assert desk.ask().reason_code == "table_stale"
    assert desk.sample("enforced") == 1


def test_before_the_table_is_complete_nobody_knows_how_the_switch_stands() -> None:
    limiter = Limiter(DecisionsTable(), CollectorRegistry(), fail_open=False)
    limiter.is_enforced = False
    assert limiter.check(FACTS).reason_code == "table_not_ready"


@pytest.mark.parametrize(
    ("value", "is_enforced"),
    [
        (operator_record("enforcement", 0, body={"enforced": False}), False),
        (operator_record("enforcement", 0, body={"enforced": True}), True),
        (operator_record("enforcement", 0, body={"enforced": "no"}), None),
        (operator_record("release", 0, subject="tenant:acme", body={"enforced": False}), None),
        (operator_record("policy", 0), None),
        (b"{", None),
        (b'"enforcement"', None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_only_a_valid_switch_switches(value: bytes | None, is_enforced: bool | None) -> None:
    switch = read_switch(value)
    assert (None if switch is None else switch.is_enforced) is is_enforced


class TestHttpFace:
    def answer(self, desk: Desk, path: str, method: str = "GET") -> tuple[int, dict[str, str], Any]:
        async def ask() -> tuple[int, dict[str, str], Any]:
            nowhere = "127.0.0.1:1"
            control_topic = ControlTopic(desk.limiter, broker=nowhere, topic="decisions", operator_topic="operator")
            app = create_http_app(desk.limiter, control_topic, desk.registry)
            async with TestClient(TestServer(app)) as client:
                response = await client.request(method, path)
                return response.status, dict(response.headers), await response.text()

        return asyncio.run(ask())

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_allowed_is_200(self, method: str) -> None:
        status, _, body = self.answer(Desk(), "/check?tenant_id=acme&account_id=bob&tokens=10", method)
        assert status == 200
        assert orjson.loads(body) == {
            "allowed": True,
            "action": "allow",
            "reason": "no_decision",
            "decision_id": None,
            "simulated": False,
        }

    def test_denied_is_429_with_retry_after(self) -> None:
        status, headers, body = self.answer(Desk(decision()), "/check?tenant_id=acme&account_id=bob")
        assert (status, headers["Retry-After"]) == (429, "3600")
        answer = orjson.loads(body)
        assert (answer["allowed"], answer["action"], answer["reason"]) == (False, "block", "requests_surge")
        assert answer["decision_id"] == "tenant:acme block 1"

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("", "tenant_id"),
            ("tenant_id=acme", "account_id"),
            ("tenant_id=&account_id=bob", "tenant_id"),
            ("tenant_id=acme&account_id=bob&tokens=many", "tokens"),
            ("tenant_id=acme&account_id=bob&tokens=-1", "tokens"),
            ("tenant_id=acme&account_id=bob&token=1", "token"),
            ("tenant_id=acme&tenant_id=b&account_id=bob", "twice"),
            (f"tenant_id={'x' * 513}&account_id=bob", "tenant_id"),
        ],
    )
    def test_a_bad_question_is_400_and_names_the_fault(self, query: str, named: str) -> None:
        status, _, body = self.answer(Desk(), f"/check?{query}")
        assert status == 400
        assert named in orjson.loads(body)["error"]

    def test_ready_follows_the_table(self) -> None:
        desk = Desk(max_age_s=60)
        assert self.answer(desk, "/ready")[0] == 200
        desk.ms += 61_000
        status, _, body = self.answer(desk, "/ready")
        assert (status, orjson.loads(body)["reason"]) == (503, "table_stale")

    def test_health_tells_that_nobody_reads_the_topic(self) -> None:
        assert self.answer(Desk(), "/health")[0] == 503

    def test_metrics_are_text_for_prometheus(self) -> None:
        status, headers, body = self.answer(Desk(), "/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=")
        assert "stillwatch_limiter_table_age_seconds 0.0" in body


@pytest.mark.parametrize(
    ("environment", "arguments", "named"),
    [({"STILLWATCH_BROKER": "nowhere"}, [], "STILLWATCH_BROKER"), ({}, ["--port", "70000"], "--port")],
)
def test_the_command_refuses_wrong_settings_in_a_line(
    environment: dict[str, str], arguments: list[str], named: str
) -> None:
    result = CliRunner().invoke(command, arguments, env=environment)
    assert result.exit_code == 2
    assert named in result.output
    assert "Traceback" not in result.output
