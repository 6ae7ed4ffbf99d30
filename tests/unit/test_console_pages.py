"""The console's pages and forms over HTTP, on a world without a broker."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from stream_app.adapters.decision_log import LogRecord
from stream_app.console.dossier_files import document_of
from stream_app.console.pages import Summary
from stream_app.console.people import SignIns, one_token
from stream_app.console.what_if_pages import RUNS
from stream_app.console.what_if_runs import Run
from stream_app.policies import DEFAULT_POLICY
from stream_app.topology import TopicName
from tests.console_worlds import (
    CAMPAIGN,
    NOBODY,
    NOW_MS,
    NOW_S,
    World,
    decision,
    form_token_of,
    header,
    member_decision,
    rfc3339,
    world_of,
)

ADMIN, ANALYST, VIEWER = (
    {"X-Forwarded-User": role, "X-Forwarded-Groups": f"stillwatch-{role}"} for role in ("admin", "analyst", "viewer")
)
HTML = {"Accept": "text/html"}
PAGES = (
    *(
        "/",
        "/decisions",
        "/campaigns",
        "/feedback",
        "/policy",
        "/what-if",
        "/audit",
        f"/campaign?id={CAMPAIGN}",
        "/policy?id=p1",
    ),
    *("/tenant?id=tenant-10003", "/tenant?id=nobody", "/tenant", "/tenant/timeline?id=nobody", "/sign-in"),
    "/decision?id=tenant:tenant-00283%20observe%201200",
)

T = TypeVar("T")


def visit(
    world: World,
    visiting: Callable[[TestClient[Any, Any]], Awaitable[T]],
    sign_ins: SignIns | None = None,
    app: Any = None,
) -> T:
    async def run() -> T:
        async with TestClient(TestServer(app or world.app(sign_ins))) as client:
            return await visiting(client)

    return asyncio.run(run())


def got(world: World, path: str, headers: dict[str, str] = VIEWER) -> tuple[int, str, ClientResponse]:
    async def visiting(client: TestClient[Any, Any]) -> tuple[int, str, ClientResponse]:
        answer = await client.get(path, headers=HTML | headers, allow_redirects=False)
        return answer.status, await answer.text(), answer

    return visit(world, visiting)


def sent(world: World, headers: dict[str, str] = ANALYST, /, token: str | None = None, **form: str) -> tuple[int, str]:
    async def visiting(client: TestClient[Any, Any]) -> tuple[int, str]:
        page = await (await client.get("/", headers=HTML | headers)).text()
        given = token if token is not None else form_token_of(page)
        answer = await client.post(
            "/actions", data=form | {"form_token": given}, headers=HTML | headers, allow_redirects=False
        )
        return answer.status, answer.headers.get("Location", "") or await answer.text()

    return visit(world, visiting)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("world", [world_of(3), World()], ids=["full", "empty"])
def test_every_page_is_drawn_full_and_empty_under_a_strict_policy(world: World, path: str) -> None:
    status, text, answer = got(world, path)
    assert status in {200, 404}
    assert "</html>" in text or "timeline" in path
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?! src=\"/static)|<style|\sstyle=|\son\w+=|javascript:", text)


def test_what_comes_from_events_stays_text() -> None:
    evil = "<script>alert(1)</script>"
    world = world_of(2)
    world.decide(decision("tenant:%3Cscript%3E", tenant_id=evil, reasons=[{**decision()["reasons"][0], "code": evil}]))
    world.view.campaigns.apply("c", orjson.dumps(header(0) | {"campaign_id": evil, "kind": evil}))
    for path in ("/", "/decisions", f"/tenant?id={evil}", "/campaigns"):
        assert "<script>alert" not in got(world, path)[1]
    assert "&lt;script&gt;" in got(world, "/")[1]


def test_who_has_not_signed_in_sees_nothing() -> None:
    world = world_of(2)
    status, _, answer = got(world, "/decisions?text=a&page=2", {})
    assert (status, answer.headers["Location"]) == (303, "/sign-in?next=/decisions?text%3Da%26page%3D2")
    assert got(world, "/live", {"Accept": "text/event-stream"})[0] == 401
    forged = {"X-Forwarded-User": "mara", "X-Forwarded-Groups": "stillwatch-admin"}
    assert visit(world, lambda client: client.get("/", headers=forged), SignIns({}, [])).status == 401


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/static/console.css", "/sign-in"])
def test_probes_and_what_signing_in_needs_ask_nobody(path: str) -> None:
    assert got(world_of(1), path, {})[0] == 200


def test_a_token_signs_in_and_out() -> None:
    token, people = one_token("ada")

    async def visiting(client: TestClient[Any, Any]) -> list[int]:
        codes = [(await client.post("/sign-in", data={"token": "wrong"}, allow_redirects=False)).status]
        entered = await client.get(f"/sign-in?token={token}&next=//evil.example", allow_redirects=False)
        assert entered.headers["Location"] == "/"
        cookie = entered.cookies["stillwatch-session"]
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
        client.session.cookie_jar.clear()
        jar = {"Cookie": f"stillwatch-session={cookie.value}"}
        page = await client.get("/", headers=jar)
        codes.append(page.status)
        form_token = form_token_of(await page.text())
        out = await client.post("/sign-out", data={"form_token": form_token}, headers=jar, allow_redirects=False)
        assert 'stillwatch-session=""' in out.headers["Set-Cookie"]
        return [*codes, out.status]

    assert visit(world_of(1), visiting, SignIns(people, [])) == [401, 200, 303]


RELEASE = {
    "type": "release",
    "subject": "tenant:tenant-10003",
    "reason": "a customer wrote",
    "back": "/tenant?id=tenant-10003",
}


def test_a_release_is_an_operator_record_in_the_persons_name() -> None:
    world = world_of(5)
    status, place = sent(world, **RELEASE)
    (record,) = world.written
    assert (status, place) == (303, f"/tenant?id=tenant-10003&recorded={record.id}")
    assert (record.type, record.subject, record.by, record.reason) == (
        "release",
        "tenant:tenant-10003",
        "analyst",
        "a customer wrote",
    )
    assert "a customer wrote" in got(world, "/audit")[1]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "confirm", "subject": f"campaign:{CAMPAIGN}"}, {}),
        ({"type": "dismiss", "subject": f"campaign:{CAMPAIGN}", "hours": "24"}, {}),
        ({"type": "allow", "subject": "tenant:tenant-10001", "hours": "168"}, {}),
        ({"type": "override", "subject": "tenant:tenant-10001", "hours": "24"}, {"action": "block"}),
    ],
)
def test_each_action_is_its_record_and_its_opposite_takes_it_back(
    form: dict[str, str], expected: dict[str, str]
) -> None:
    world = world_of(5)
    assert sent(world, reason="because", **form)[0] == 303
    (first,) = world.written
    assert first.type == form["type"]
    assert (first.body or {}) == expected
    assert bool(first.expires_at) == ("hours" in form)
    assert sent(world, reason="was wrong", undoes=first.id)[0] == 303
    opposites = {"confirm": "dismiss", "dismiss": "confirm", "allow": "release", "override": "release"}
    second = world.written[1]
    assert (second.type, second.subject) == (opposites[first.type], first.subject)
    assert second.body == {"undoes": first.id}
    assert sent(world, reason="again", undoes=first.id)[0] == 400
    assert "undone by analyst" in got(world, "/audit")[1]


def test_a_release_is_taken_back_by_what_it_ended() -> None:
    world = world_of(5)
    sent(world, **RELEASE)
    assert sent(world, reason="it was them", undoes=world.written[0].id)[0] == 303
    again = world.written[1]
    assert (again.type, again.subject) == ("override", "tenant:tenant-10003")
    assert again.body == {"action": "block", "undoes": world.written[0].id}


def test_only_an_admin_switches_enforcement() -> None:
    world = world_of(1)
    off = {"type": "enforcement", "enforced": "no", "reason": "false alarms"}
    assert sent(world, ANALYST, **off)[0] == 403
    assert sent(world, ADMIN, **off)[0] == 303
    assert world.written[0].body == {"enforced": False}
    assert "enforcement is switched off" in got(world, "/")[1]
    assert sent(world, ANALYST, reason="on", undoes=world.written[0].id)[0] == 403
    assert sent(world, ADMIN, reason="on", undoes=world.written[0].id)[0] == 303
    assert world.view.is_enforced()


@pytest.mark.parametrize(
    ("changes", "headers", "status"),
    [
        ({}, VIEWER, 403),
        ({"reason": "  "}, ANALYST, 400),
        ({"reason": "x" * 513}, ANALYST, 400),
        ({"type": "policy"}, ANALYST, 400),
        ({"type": "forget"}, ADMIN, 400),
        ({"type": "allow"}, ANALYST, 400),
        ({"type": "override", "subject": "tenant:nobody", "hours": "1"}, ANALYST, 400),
        ({"undoes": "unheard"}, ANALYST, 400),
        ({"token": "0" * 48}, ANALYST, 403),
        ({"token": ""}, ANALYST, 403),
    ],
)
def test_what_may_not_be_done_writes_nothing(changes: dict[str, str], headers: dict[str, str], status: int) -> None:
    world = world_of(5)
    assert sent(world, headers, **(RELEASE | changes))[0] == status
    assert world.written == []


def test_a_form_of_another_site_is_refused() -> None:
    world = world_of(5)
    status, told = sent(world, ANALYST | {"Sec-Fetch-Site": "cross-site"}, **RELEASE)
    assert status == 403
    assert "another site" in told
    assert world.written == []


def test_a_viewer_is_offered_no_action() -> None:
    world = world_of(3)
    for path in (f"/campaign?id={CAMPAIGN}", "/tenant?id=tenant-10001", "/policy"):
        assert 'action="/actions"' not in got(world, path, VIEWER)[1]
        assert 'action="/actions"' in got(world, path, ADMIN)[1]


def test_lists_are_paged_and_pages_out_of_range_are_the_nearest() -> None:
    world = world_of(120)
    text = got(world, "/decisions?page=2")[1]
    assert "51–100 of 123" in text.replace("\u2013", "–")
    for odd in ("0", "-1", "x", "9" * 30):
        assert got(world, f"/decisions?page={odd}")[0] == 200
    assert "101–120 of 120" in got(world, f"/campaign?id={CAMPAIGN}&page=3")[1]
    assert "No member fits" in got(world, f"/campaign?id={CAMPAIGN}&text=zzz")[1]


def test_a_decision_that_a_newer_one_replaced_is_not_said_to_last() -> None:
    world = World()
    world.decide(decision(action="throttle", before_s=900))
    world.decide(decision(action="block", before_s=600))
    _, page, _ = got(world, "/decisions")
    assert re.findall(r'<td class="n dim">([^<]+)</td>', page) == ["in 1 h", "replaced"]


def test_a_filter_that_cannot_be_read_is_told() -> None:
    status, text, _ = got(world_of(1), "/decisions?action=ban")
    assert status == 400
    assert "This filter cannot be read" in text


@pytest.mark.parametrize("path", ["/nothing", "/decision?id=x", "/campaign?id=x", "/campaign/traffic?id=x"])
def test_what_is_not_there_is_a_page_that_says_so(path: str) -> None:
    status, text, _ = got(world_of(1), path)
    assert status == 404
    assert "</html>" in text


def test_a_figure_that_kafka_does_not_give_is_told_without_waiting() -> None:
    assert got(world_of(3), f"/campaign/traffic?id={CAMPAIGN}")[0] == 202


def test_live_pages_hear_of_a_change() -> None:
    world = world_of(1)

    async def visiting(client: TestClient[Any, Any]) -> bytes:
        async with client.get(f"/live?since={world.view.version}", headers=VIEWER) as stream:
            await stream.content.readuntil(b"\n\n")
            world.decide(decision("tenant:new"))
            heard: bytes = await stream.content.readuntil(b"\n\n")
            return heard

    assert visit(world, visiting).startswith(b"event: change\nid: ")


def test_a_campaign_of_ten_thousand_is_drawn_within_a_second() -> None:
    world = world_of(10_000)

    async def visiting(client: TestClient[Any, Any]) -> list[float]:
        taken = []
        for page in (1, 2, 100):
            before = time.process_time()
            answer = await client.get(f"/campaign?id={CAMPAIGN}&page={page}", headers=HTML | VIEWER)
            assert "10,000" in await answer.text()
            taken.append(time.process_time() - before)
        return taken

    taken = visit(world, visiting)
    assert max(taken) < 1, taken


def test_feedback_tells_its_precision_and_what_waits_the_likeliest_first() -> None:
    world = world_of(3)
    for number, (is_confirmed, foreseen) in enumerate([(True, 0.5), (False, 0.4), (True, 0.8), (True, 0.3)]):
        said = {"is_confirmed": is_confirmed, "by": "mara", "at": rfc3339(9_000 - 600 * number), "foreseen": foreseen}
        told = header(3) | {"campaign_id": f"c-judged-{number}", "feedback": said}
        world.tell(TopicName.CAMPAIGNS, told["campaign_id"], told)
    for name, priority in (("c-unlikely", 0.1), ("c-likely", 0.9)):
        told = header(3) | {"campaign_id": name, "status": "candidate", "priority": priority}
        world.tell(TopicName.CAMPAIGNS, name, told)
    text = got(world, "/feedback")[1]
    assert "<b>75%</b>" in text  # confirmed
    assert "<b>67%</b>" in text  # foreseen, of the three of which something was
    assert text.index("c-likely") < text.index(CAMPAIGN) < text.index("c-unlikely")
    assert 'class="shapes"' in text
    assert "c-judged-3" in text


def test_feedback_is_drawn_when_everything_was_dismissed_and_nothing_foreseen() -> None:
    world = world_of(3)
    for number in range(3):
        said = {"is_confirmed": False, "by": "mara", "at": rfc3339(9_000 - 600 * number), "foreseen": 0.5}
        world.tell(TopicName.CAMPAIGNS, f"c-{number}", header(3) | {"campaign_id": f"c-{number}", "feedback": said})
    status, text, _ = got(world, "/feedback")
    assert status == 200
    assert "<b>0%</b>" in text  # confirmed
    assert "<b>–</b>" in text  # nothing was foreseen, neither rightly nor wrongly
    assert ">missed<" not in text


def test_an_overview_is_put_together_once_for_all_who_look_until_something_changes() -> None:
    world = world_of(3)
    desk, summary = world.desk(), Summary()
    first = summary.of(desk)
    assert summary.of(desk) is first
    world.decide(decision("tenant:new"))
    changed = summary.of(desk)
    assert changed["denied"] == first["denied"] + 1
    assert changed["view_version"] == world.view.version > first["view_version"]
    later = world.desk(lambda: NOW_S + 3_700)
    assert summary.of(later)["denied"] == 0


def posted(world: World, path: str, headers: dict[str, str], **form: str) -> tuple[int, str]:
    """A form sent, and what the page it leads to waits for, once that is there."""

    async def visiting(client: TestClient[Any, Any]) -> tuple[int, str]:
        page = await (await client.get(path, headers=HTML | headers)).text()
        token = form_token_of(page)
        answer = await client.post(path, data=form | {"form_token": token}, headers=HTML | headers)
        while answer.status == 200 and (part := await client.get(f"{path}/result", headers=headers)).status == 202:
            await asyncio.sleep(0.05)
        return answer.status, await (part if answer.status == 200 else answer).text()

    return visit(world, visiting)


def test_an_analyst_asks_for_a_what_if_and_is_told_why_it_is_not_done() -> None:
    world, text = world_of(1), DEFAULT_POLICY.read_text()
    assert posted(world, "/what-if", VIEWER, policy=text, hours="1")[0] == 403
    assert posted(world, "/what-if", ANALYST, policy="ladder: 3", hours="1")[0] == 400
    assert posted(world, "/what-if", ANALYST, policy=text, hours="5")[0] == 400
    status, told = posted(world, "/what-if", ANALYST, policy=text, hours="1")
    assert status == 200
    assert "Not done: " in told
    assert f"127.0.0.1:{NOBODY}" in told


def test_a_what_if_is_shown_in_figures_rules_and_subjects() -> None:
    world = world_of(1)
    made = decision("tenant:acme")
    result = {
        "history_s": 86_400.0,
        "took_s": 3.2,
        "events": 1_000,
        "policies": {"old": "demo-1", "new": "demo-2"},
        "verdict": "With demo-2 one subject would newly be blocked.",
        "figures": [["decisions", "1", "2"]],
        "notes": ["Tenants are learned anew."],
        "rules": [{"rule": "ladder.block.enter", "old": "0.9", "new": "0.8"}],
        "campaigns": [],
        "subjects": [
            {"subject": "tenant:acme", "tenant_id": "acme", "change": "newly denied", "decision": made}
            | {"old": {"action": "allow", "denied_s": 0.0}, "new": {"action": "block", "denied_s": 60.0}}
        ],
    }
    app = world.app()
    app[RUNS].kept = [Run(1, "mara", NOW_MS, "demo-2", "24", result, b"<html>report</html>")]

    async def visiting(client: TestClient[Any, Any]) -> tuple[str, str]:
        part, page = (
            await client.get("/what-if/result", headers=VIEWER),
            await client.get("/what-if/page", headers=VIEWER),
        )
        assert "attachment" in page.headers["Content-Disposition"]
        return await part.text(), await page.text()

    part, page = visit(world, visiting, app=app)
    for told in ("newly be blocked", "ladder.block.enter", "acme", "newly denied", "learned anew"):
        assert told in part
    assert page == "<html>report</html>"


def test_a_dossier_takes_an_analyst_a_form_and_a_broker() -> None:
    world, path = world_of(3), f"/campaign/dossier?id={CAMPAIGN}&form="
    assert got(world, f"{path}pdf")[0] == 403
    assert got(world, f"{path}exe", ANALYST)[0] == 400
    assert got(world, "/campaign/dossier?id=nothing", ANALYST)[0] == 404
    status, text, _ = got(world, f"{path}pdf", ANALYST)
    assert status == 503
    assert "The dossier cannot be made" in text


def test_the_dossier_of_the_view_holds_its_records_and_decisions() -> None:
    world = world_of(12)
    campaign = world.view.campaigns.find(CAMPAIGN)
    assert campaign is not None
    rows = [(TopicName.CAMPAIGN_LOG, CAMPAIGN, header(12)), (TopicName.CAMPAIGN_LOG, "c-other", header(3))]
    rows += [(TopicName.DECISION_LOG, "", member_decision(3)), (TopicName.DECISION_LOG, "", decision())]
    records = [
        (name, LogRecord(key.encode(), orjson.dumps(value), f"offset {place}", place, 0, []))
        for place, (name, key, value) in enumerate(rows)
    ]
    told = document_of(campaign, records, None, ["no load"], datetime.fromtimestamp(NOW_S, UTC))
    assert [one["place"] for one in told["chain"]["records"]] == ["offset 0", "offset 2"]
    assert (told["decisions"]["total"], told["size"]["members"], told["notes"]) == (1, 12, ["no load"])
