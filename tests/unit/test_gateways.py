"""What gateways ask in headers, what they are answered, and what mirrors are told."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry

from stream_app.cli.limiter import limiter as command
from stream_app.detection.decisions import Action, split_key
from stream_app.limiter import Allowance, ControlTopic, DecisionsTable, Limiter, RequestFacts, create_http_app
from stream_app.limiter.decisions_table import KnownDecision
from stream_app.limiter.gateway_headers import answer_headers, header_names, prefix_of, read_facts
from stream_app.limiter.haproxy_map import HaproxyMap, entry
from stream_app.limiter.mirrors import Mirror, MirrorError, topic_key
from tests.unit.test_limiter import Desk, decision

WHO = {"X-Tenant-Id": "acme", "X-Account-Id": "bob"}


def facts(*pairs: tuple[str, str], **names: str) -> RequestFacts:
    return read_facts(CIMultiDict(pairs), header_names(names))


def test_facts_are_read_from_headers_of_any_case() -> None:
    pairs = (("X-TENANT-ID", "acme"), ("x-account-id", "bob"), ("X-Payment-Fp", "p"), ("X-Tokens", "12"))
    assert facts(*pairs) == RequestFacts("acme", "bob", payment_fp="p", tokens=12)


def test_an_account_left_out_or_empty_has_the_tenants_name() -> None:
    assert facts(("x-tenant-id", "acme"), ("x-account-id", "")) == RequestFacts("acme", "acme")


def test_header_names_and_the_prefix_of_an_address_can_be_told() -> None:
    pairs = (("x-org", "acme"), ("x-real-ip", "203.0.113.77"))
    assert facts(*pairs, tenant_id="X-Org", ip="x-real-ip").ip_prefix == "203.0.113.0/24"
    assert prefix_of("2001:db8:1:2::3") == "2001:db8:1::/48"


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("x-tenant-id", "")],
        [("x-tenant-id", "acme"), ("x-tenant-id", "other")],
        [("x-tenant-id", "acme"), ("x-tokens", "many")],
        [("x-tenant-id", "a" * 513)],
    ],
)
def test_a_request_that_is_not_identified_is_no_facts(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"header|Expected"):
        facts(*pairs)


def test_a_records_text_ends_no_header() -> None:
    allowance = Allowance(allowed=True, action=Action.BLOCK, reason_code="a\r\nset-cookie: b", decision_id="ü")
    headers = answer_headers(allowance)
    assert headers["x-stillwatch-reason"] == "a%0D%0Aset-cookie%3A%20b"
    assert headers["x-stillwatch-decision-id"] == "%C3%BC"


class TestGatewayFace:
    def answer(self, desk: Desk, path: str, headers: Mapping[str, str], method: str = "GET") -> tuple[int, Any, bytes]:
        async def ask() -> tuple[int, Any, bytes]:
            topics = ControlTopic(desk.limiter, broker="127.0.0.1:1", topic="decisions", operator_topic="operator")
            app = create_http_app(desk.limiter, topics, desk.registry)
            async with TestClient(TestServer(app)) as client:
                response = await client.request(method, path, headers=headers)
                return response.status, response.headers, await response.read()

        return asyncio.run(ask())

    @pytest.mark.parametrize(("path", "method"), [("/ext_authz", "GET"), ("/ext_authz/v1/chat?x=%2F", "POST")])
    def test_ext_authz_answers_whatever_the_path_and_method(self, path: str, method: str) -> None:
        assert self.answer(Desk(), path, WHO, method)[0] == 200
        status, headers, _ = self.answer(Desk(decision()), path, WHO, method)
        assert (status, headers["Retry-After"], headers["x-stillwatch-reason"]) == (429, "3600", "requests_surge")
        assert headers["x-stillwatch-decision-id"] == "tenant:acme block 1"

    def test_auth_request_denies_by_403_with_the_same_headers(self) -> None:
        status, headers, _ = self.answer(Desk(decision()), "/auth_request", WHO)
        assert (status, headers["Retry-After"], headers["x-stillwatch-reason"]) == (403, "3600", "requests_surge")

    @pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 429)])
    def test_nobody_is_answered_as_without_decisions_and_counted(self, fail_open: bool, status: int) -> None:
        desk = Desk(fail_open=fail_open)
        answered, headers, _ = self.answer(desk, "/ext_authz/", {})
        assert (answered, headers["x-stillwatch-reason"]) == (status, "unidentified")
        assert desk.sample("checks_total", outcome="unidentified") == 1


class Shelf:
    """A target in memory, which can be emptied and broken."""

    name = "shelf"

    def __init__(self) -> None:
        self.held: dict[str, KnownDecision] | None = None
        self.is_broken = False

    def holds_ours(self) -> bool:
        return self.held is not None

    def replace(self, decisions: Mapping[str, KnownDecision]) -> None:
        if self.is_broken:
            raise MirrorError("broken")
        self.held = dict(decisions)

    def change(self, decisions: Mapping[str, KnownDecision | None]) -> None:
        if self.is_broken:
            raise MirrorError("broken")
        assert self.held is not None
        for key, said in decisions.items():
            self.held.pop(key, None)
            if said is not None:
                self.held[key] = said


class TestMirror:
    def test_holds_what_is_obeyed_and_follows_changes(self) -> None:
        desk, shelf = Desk(), Shelf()
        mirror = Mirror(desk.limiter, shelf)
        desk.read(
            decision("tenant:acme"),
            decision("tenant:shadow", simulated=True),
            decision("tenant:calm", action="observe"),
            decision("tenant:released", action="allow"),
            decision("tenant:friend", action="allow", origin="operator"),
            decision("account:acme/b%2F1", action="throttle"),
        )
        mirror.write(set())
        assert set(shelf.held or ()) == {"tenant:acme", "tenant:friend", "account:acme/b%2F1"}
        desk.read((b"tenant:acme", None), decision("tenant:new"))
        mirror.write({("tenant", "acme"), ("tenant", "new")})
        assert set(shelf.held or ()) == {"tenant:friend", "tenant:new", "account:acme/b%2F1"}

    def test_nothing_is_written_before_the_table_is_complete(self) -> None:
        shelf = Shelf()
        Mirror(Limiter(DecisionsTable(), CollectorRegistry()), shelf).write(set())
        assert shelf.held is None

    def test_enforcement_off_empties_it_and_on_fills_it(self) -> None:
        desk, shelf = Desk(decision()), Shelf()
        mirror = Mirror(desk.limiter, shelf)
        for is_enforced, held in ((True, 1), (False, 0), (True, 1)):
            desk.limiter.is_enforced = is_enforced
            mirror.write(set())
            assert len(shelf.held or ()) == held


@given(st.lists(st.text(min_size=1), min_size=1, max_size=2))
def test_a_mirrors_key_is_one_word_and_says_its_subject(parts: list[str]) -> None:
    key = topic_key(("account" if len(parts) == 2 else "tenant", *parts))
    assert key.isascii()
    assert not set(key) & set(" ;\n<")
    assert split_key(key)[1] == tuple(parts)


def test_an_entry_of_haproxys_map_is_one_word() -> None:
    desk = Desk(decision(reasons=[{"code": "a b|;\n"}], limit={"requests_per_minute": 9}, action="throttle"))
    said = desk.table.obeyed(("tenant", "acme"), desk.ms)
    assert said is not None
    assert entry(said) == "throttle|1800003600|detector|a%20b%7C%3B%0A|tenant:acme%20throttle%201|9"


def test_haproxys_file_is_written_also_while_it_is_away(tmp_path: Path) -> None:
    desk = Desk(decision())
    target = HaproxyMap(str(tmp_path / "no.sock"), str(tmp_path / "decisions.map"))
    with pytest.raises(MirrorError, match=r"no\.sock"):
        target.replace({"tenant:acme": desk.table.all_obeyed(desk.ms)[("tenant", "acme")]})
    assert (tmp_path / "decisions.map").read_text().startswith("tenant:acme block|1800003600|detector|requests_surge|")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--header", "tenant=x"], "no such field: tenant"),
        (["--header", "tenant_id"], "FIELD=NAME"),
        (["--haproxy-socket", "/x"], "belong together"),
        (["--haproxy-socket", "/x", "--haproxy-map", "/no/such/map"], "/no/such/map"),
        (["--redis", "127.0.0.1"], "redis://"),
    ],
)
def test_a_bad_option_is_one_line_and_status_2(arguments: list[str], named: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert named in done.output
    assert "Traceback" not in done.output
