"""What the console keeps of its topics, and what it leaves out."""

import orjson
import pytest

from stream_app.console import view as views
from stream_app.console.campaign_table import CampaignTable
from stream_app.console.rows import Filter, FilterError, actions_of, parse_filter
from stream_app.console.view import TopicRecord, counted
from stream_app.detection.decisions import Action
from stream_app.topology import TopicName
from tests.console_worlds import CAMPAIGN, NOW_MS, World, decision, header, member_decision, rfc3339, world_of


def test_in_force_is_what_holds_now_and_an_allow_of_the_detector_is_not() -> None:
    world = World()
    world.decide(decision("tenant:a"))
    world.decide(decision("tenant:b", expires_at=rfc3339(1)))
    world.decide(decision("tenant:c", action="allow"))
    world.decide(decision("tenant:d", action="allow", origin="operator"))
    assert {row.key for row in world.view.in_force(NOW_MS)} == {"tenant:a", "tenant:d"}
    assert counted(world.view.in_force(NOW_MS)) == {
        (Action.BLOCK, "detector"): [1, 0],
        (Action.ALLOW, "operator"): [1, 0],
    }


def test_a_lower_revision_is_ignored_and_a_tombstone_forgets() -> None:
    world = World()
    world.tell(TopicName.DECISIONS, "tenant:a", decision("tenant:a", action="allow", origin="operator", revision=9))
    world.tell(TopicName.DECISIONS, "tenant:a", decision("tenant:a", revision=8))
    newest = world.view.newest_of("tenant:a")
    assert newest is not None
    assert newest.action is Action.ALLOW
    world.tell(TopicName.DECISIONS, "tenant:a", None)
    assert world.view.newest_of("tenant:a") is None


def test_a_repeat_after_a_crash_is_one_row() -> None:
    world = World()
    for _ in range(3):
        world.decide(decision("tenant:a"))
    assert len(list(world.view.log)) == 1


def test_the_log_is_bounded_by_its_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MAX_LOG", 5)
    world = World()
    for number in range(20):
        world.decide(decision(f"tenant:{number}", before_s=100 - number))
    assert [row.key for row in world.view.log] == [f"tenant:{number}" for number in range(15, 20)]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"decision_id": "x"}', b"\xff"])
@pytest.mark.parametrize("name", [TopicName.DECISIONS, TopicName.DECISION_LOG, TopicName.CAMPAIGNS, TopicName.OPERATOR])
def test_an_unreadable_record_changes_nothing_and_is_counted(name: TopicName, value: bytes) -> None:
    world = world_of(3)
    before = len(list(world.view.log)), world.view.campaigns.headers()
    world.view.apply([TopicRecord(name, 0, 0, 0, b"tenant:a", value)])
    assert (len(list(world.view.log)), world.view.campaigns.headers()) == before
    assert world.view.unreadable == 1


def test_a_forgotten_tenant_is_left_out_and_one_that_comes_again_is_not() -> None:
    world = World()
    world.decide(decision("tenant:a", before_s=50))
    order = {"id": "f", "type": "forget", "subject": "tenant:a", "reason": "asked", "by": "ada", "at": rfc3339(10)}
    world.tell(TopicName.OPERATOR, "tenant:a", order)
    world.decide(decision("tenant:a", before_s=60))  # read late from the log
    assert world.view.of_tenant("a") == []
    assert world.view.newest_of("tenant:a") is None
    world.decide(decision("tenant:a", before_s=5))
    assert len(world.view.of_tenant("a")) == 1


def test_the_budget_is_summed_over_partitions_while_it_is_of_this_hour() -> None:
    world = World()
    for partition, before_s in ((0, 100), (1, 100), (2, 4_000)):
        budget = {"allowed": 10, "used": 4 + partition}
        made = decision(f"tenant:{partition}", before_s=before_s, harm_budget=budget)
        world.tell(TopicName.DECISION_LOG, "k", made, partition=partition)
    spent = world.view.budget(NOW_MS)
    assert spent is not None
    assert (spent.allowed, spent.used, spent.partitions) == (20, 9, 2)
    assert World().view.budget(NOW_MS) is None


def test_filters_choose_and_put_the_newest_first() -> None:
    rows = list(world_of(6).view.log)

    def keys(**asked: str) -> list[str]:
        return [row.key for row in parse_filter(asked).choose(rows, NOW_MS)]

    assert keys(action="throttle") == ["account:tenant-00056/tenant-00056-a0"]
    assert keys(simulated="yes") == ["tenant:tenant-00283"]
    assert keys(scope="account", reason="requests_60s") == ["account:tenant-00056/tenant-00056-a0"]
    assert len(keys(text=CAMPAIGN)) == 6
    assert keys(text="TENANT-10003") == ["tenant:tenant-10003"]
    assert keys(action="allow", now="yes") == []
    assert keys(since="2026-11-25T20:48", until="2026-11-25T20:50")[:1] == keys()[:1]
    issued = [row.issued_ms for row in Filter().choose(rows, NOW_MS)]
    assert issued == sorted(issued, reverse=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"action": "ban"}, "action"), ({"since": "yesterday"}, "since"), ({"text": "x" * 999}, "text")],
)
def test_a_filter_that_cannot_be_read_says_why(given: dict[str, str], said: str) -> None:
    with pytest.raises(FilterError, match=said):
        parse_filter(given)


def test_a_campaign_is_put_together_from_its_records() -> None:
    world = world_of(12)
    found = world.view.campaigns.find(CAMPAIGN)
    assert found is not None
    assert [member["tenant_id"] for member in found["members"][:2]] == ["tenant-10000", "tenant-10001"]
    world.tell(TopicName.CAMPAIGNS, f"{CAMPAIGN}/tenant-10000", None)
    fewer = world.view.campaigns.find(CAMPAIGN)
    assert fewer is not None
    assert len(fewer["members"]) == 11
    assert world.view.campaigns.of_tenant("tenant-10000") == []
    ((mine, membership),) = world.view.campaigns.of_tenant("tenant-10001")
    assert (mine["campaign_id"], membership["role"]) == (CAMPAIGN, "block")
    world.tell(TopicName.CAMPAIGNS, "c-older", header(1) | {"campaign_id": "c-older", "aliases": ["c-gone"]})
    older = world.view.campaigns.find("c-gone")
    assert older is not None
    assert older["campaign_id"] == "c-older"
    world.tell(TopicName.CAMPAIGNS, CAMPAIGN, None)
    assert world.view.campaigns.find(CAMPAIGN) is None


def test_members_are_bounded_and_those_beyond_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.console.campaign_table.MAX_MEMBERS", 3)
    table = CampaignTable()
    for number in range(5):
        entry = {"tenant_id": f"t{number}", "posterior": 1, "role": "act", "joined_at": rfc3339(0)}
        table.apply(f"c/t{number}", orjson.dumps(entry))
    table.apply("c", orjson.dumps(header(5) | {"campaign_id": "c"}))
    assert len(table) == 3
    assert table.headers()[0]["member_count"] == 5


def test_only_changes_of_a_campaign_are_told() -> None:
    world = World()
    for size in (20, 20, 30):
        world.tell(TopicName.CAMPAIGN_LOG, CAMPAIGN, header(size) | {"member_count": size})
    assert [change.members for change in world.view.campaigns.changes(CAMPAIGN)] == [20, 30]


def test_actions_are_counted_as_the_plots_count_decisions() -> None:
    world = World()
    world.decide(member_decision(1, before_s=120))
    world.decide(member_decision(1, before_s=60))
    world.decide(member_decision(2, before_s=60, action="observe", simulated=True))
    actions = actions_of(world.view.log)
    assert actions.counts == {Action.BLOCK: 2, Action.OBSERVE: 1}
    assert actions.denied == {"tenant:tenant-10001": (NOW_MS - 120_000) // 60_000}
    assert actions.simulated == 1


def test_enforcement_is_as_the_newest_word_says() -> None:
    world = World()
    assert world.view.is_enforced()
    for is_enforced in (False, True, False):
        body = {"enforced": is_enforced}
        order = {"id": "e", "type": "enforcement", "reason": "r", "by": "ada", "at": rfc3339(1), "body": body}
        world.tell(TopicName.OPERATOR, "enforcement", order)
        assert world.view.is_enforced() is is_enforced
