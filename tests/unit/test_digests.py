"""The weekly digest: what belongs to the period is counted once, and told in a page."""

from datetime import UTC, datetime
from typing import Any

from click.testing import CliRunner
from msgspec import structs

from stream_app.cli.digest import digest as command
from stream_app.detection.decisions import Action, Budget, Decision, PolicyRef, Reason
from stream_app.detection.operators import OperatorRecord
from stream_app.reports.digests import Digest, Period, digest, to_html, to_markdown

WEEK = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC))


def decision(number: int, action: Action, **changes: Any) -> Decision:
    made = Decision(
        decision_id=f"d-{number}",
        scope="tenant",
        subject=f"t{number}",
        tenant_id=f"t{number}",
        action=action,
        simulated=False,
        origin="detector",
        reasons=[Reason("requests_surge", 9.0, 1.0, "requests", 60, 0.99)],
        policy=PolicyRef("p", action.value),
        issued_at="2026-01-02T00:00:00Z",
        expires_at="2026-01-02T01:00:00Z",
        revision=1,
    )
    return structs.replace(made, **changes)


def record(kind: str, subject: str, reason: str = "a launch of theirs", **body: Any) -> OperatorRecord:
    return OperatorRecord(f"{kind}-1", kind, reason, "alice", datetime(2026, 1, 3, tzinfo=UTC), subject, body=body)


def campaign(name: str, status: str, time: str) -> dict[str, Any]:
    told = {"campaign_id": name, "status": status, "kind": "account_network"}
    return told | {"member_count": 7, "first_alert_time": time}


def a_week() -> Digest:
    budget = Budget(allowed=4, used=3, withheld="block")
    decisions = [
        decision(1, Action.BLOCK),
        decision(1, Action.BLOCK),  # again, after a crash
        decision(2, Action.OBSERVE, simulated=True, harm_budget=budget),
        decision(3, Action.BLOCK, issued_at="2025-12-31T23:59:59Z"),
        decision(4, Action.ALLOW, reasons=[], origin="operator"),
    ]
    campaigns = [
        campaign("c-candidate", "candidate", "2026-01-02T00:00:00Z"),
        campaign("c-found", "confirmed", "2026-01-05T00:00:00Z") | {"tokens_taken": 12_000_000},
        campaign("c-old", "confirmed", "2025-12-01T00:00:00Z"),
    ]
    records = [
        record("release", "tenant:t1"),
        record("override", "tenant:t2", action="block"),
        record("override", "tenant:t3", action="allow"),
        record("policy", "policy"),
    ]
    return digest(WEEK, decisions, campaigns, records)


def rows(title: str) -> list[tuple[str, ...]]:
    [part] = [part for part in a_week().parts if part.title == title]
    return list(part.rows)


def test_decisions_of_the_period_are_counted_once_by_action_and_reason() -> None:
    assert rows("Decisions") == [("block", "1", "0"), ("observe", "0", "1"), ("allow", "1", "0")]
    assert rows("Reasons") == [("requests_surge", "2", "1 block, 1 observe"), ("operator", "1", "1 allow")]


def test_it_is_told_in_short_first() -> None:
    short = a_week().short
    assert short.startswith("1 new campaign confirmed, of 7 accounts, which have taken 12,000,000 output tokens.")
    assert "1 subject throttled, challenged or blocked; 2 corrections by people" in short
    assert short in to_markdown(a_week())
    known = digest(WEEK, [decision(1, Action.BLOCK, reasons=[Reason("requests_60s", 9, 1, "", 60, 1)])], [], [])
    assert "| Requests in 60 s | 1 |" in to_markdown(known)


def test_new_campaigns_are_named_with_their_dossier_the_confirmed_first() -> None:
    assert [row[0] for row in rows("New campaigns")] == ["c-found", "c-candidate"]
    assert rows("New campaigns")[0][1:3] == ("confirmed account network", "7")
    assert rows("New campaigns")[0][-1] == "stillwatch campaigns dossier c-found"


def test_what_people_took_back_stands_apart_from_their_other_orders() -> None:
    taken_back = [("release", "tenant:t1"), ("override allow", "tenant:t3")]
    assert [row[1:3] for row in rows("Taken back by people")] == taken_back
    assert [row[1] for row in rows("Other orders")] == ["override block"]


def test_the_harm_budget_is_told_at_its_highest() -> None:
    assert a_week().parts[-1].told == "At its highest 75% of one was used; decisions made milder for it: 1."


def test_markdown_and_html_hold_the_same_and_nothing_breaks_out_of_a_cell() -> None:
    nasty = digest(WEEK, [], [], [record("release", "tenant:<b>", "x|y\n<script>")])
    markdown, page = to_markdown(nasty), to_html(nasty)
    assert r"x\|y\\n&lt;script>" in markdown
    assert "<script" not in page
    assert "tenant:&lt;b&gt;" in page
    for part in a_week().parts:
        assert f"## {part.title}\n" in to_markdown(a_week())
        assert f"<h2>{part.title}</h2>" in to_html(a_week())


def test_a_quiet_week_says_so() -> None:
    quiet = to_markdown(digest(WEEK, [], [], []))
    assert "No new campaign confirmed. 0 subjects throttled" in quiet
    assert "0 decisions on 0 subjects" in quiet
    assert quiet.count("None.") == 3


def test_a_wrong_time_is_told() -> None:
    done = CliRunner().invoke(command, ["--since", "soon"])
    assert done.exit_code == 2
    assert "'soon' is not a time such as 24h or 7d" in done.output
