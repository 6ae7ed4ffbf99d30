"""Values that a campaign's members share: which are decided on, for how long, and who obeys."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import jsonschema_rs
import msgspec
import numpy as np
import orjson
import pytest
from prometheus_client import CollectorRegistry

from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.links import population
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.campaigns.proofs import Proof
from stream_app.detection.campaigns.records import Campaign, Member, Status
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import ForgetDecision
from stream_app.detection.link_rulings import (
    RELEASE_MS,
    LinkStanding,
    SharedLink,
    release_link,
    rule_links,
    shared_links,
)
from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.detection.signals import Profile, Signal
from stream_app.limiter import DecisionsTable, Limiter, RequestFacts
from stream_app.policies import DEFAULT_POLICY
from tests.brokers import ROOT
from tests.unit.campaign_worlds import BEGIN_MS

HOUR_MS = 3_600_000
LINK = SharedLink("ip_prefix", "203.0.1.0/24", "c-1", 0.8, 7, 1)
SCHEMA = jsonschema_rs.validator_for(orjson.loads((ROOT / "schemas/decision/v1.schema.json").read_bytes()))


def policy(links: str = "payment_fp: block, ip_prefix: challenge", **changes: Any) -> Policy:
    rules = load_policy(f"{DEFAULT_POLICY.read_text()}\nlinks: {{{links}}}", "test")
    return Policy.model_validate(rules.model_dump() | changes)


def ruled(
    standings: dict[str, LinkStanding], found: Iterable[SharedLink], hours: float, rules: Policy | None = None
) -> list[Decision | ForgetDecision]:
    return list(rule_links(standings, rules or policy(), found, BEGIN_MS + round(hours * HOUR_MS)))


def test_a_value_that_a_person_released_is_left_alone_for_a_month() -> None:
    standings: dict[str, LinkStanding] = {}
    (first,) = ruled(standings, [LINK], 0)
    assert isinstance(first, Decision)
    released = release_link(standings, policy(), first.key, BEGIN_MS + HOUR_MS // 2)
    assert released is not None
    assert (released.key, released.action, released.origin) == (first.key, Action.ALLOW, "operator")
    assert released.expires_at == released.issued_at
    assert released.revision > first.revision
    assert release_link(standings, policy(), first.key, BEGIN_MS + HOUR_MS) is None
    assert ruled(standings, [LINK], 1) == ruled(standings, [LINK], 29 * 24) == ruled(standings, [], 29 * 24) == []
    (again,) = ruled(standings, [LINK], 31 * 24)
    assert isinstance(again, Decision)
    assert (again.action, again.revision > released.revision) == (Action.CHALLENGE, True)


def test_a_value_is_told_every_hour_released_when_it_is_found_no_more_and_then_forgotten() -> None:
    standings: dict[str, LinkStanding] = {}
    (first,) = ruled(standings, [LINK], 0)
    assert ruled(standings, [LINK], 0.5) == []
    (second,) = ruled(standings, [LINK], 1)
    (release,) = ruled(standings, [], 1.2)
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert isinstance(release, Decision)
    assert (first.key, first.action, first.campaign_id, first.tenant_id) == (
        "ip_prefix:203.0.1.0%2F24",
        Action.CHALLENGE,
        "c-1",
        "",
    )
    assert (second.supersedes, release.supersedes, release.action) == (
        first.decision_id,
        second.decision_id,
        Action.ALLOW,
    )
    assert first.revision < second.revision < release.revision
    assert datetime.fromisoformat(first.expires_at) > datetime.fromisoformat(second.issued_at)
    for made in (first, second, release):
        SCHEMA.validate(orjson.loads(msgspec.json.encode(made)))
    assert ruled(standings, [], 2) == []
    assert ruled(standings, [], 1.2 + RELEASE_MS / HOUR_MS) == [ForgetDecision("ip_prefix:203.0.1.0%2F24")]
    assert standings == {}


@pytest.mark.parametrize(
    ("links", "mode", "simulated"),
    [
        ("ip_prefix: challenge", "enforced", True),
        ("ip_prefix: challenge, mode: enforced", "shadow", True),
        ("ip_prefix: challenge, mode: enforced", "enforced", False),
    ],
)
def test_nothing_is_enforced_unless_both_the_links_and_the_policy_are(links: str, mode: str, simulated: bool) -> None:
    (made,) = ruled({}, [LINK], 0, policy(links, mode=mode))
    assert isinstance(made, Decision)
    assert made.simulated is simulated


def test_a_policy_that_allows_it_no_more_releases_everything_at_the_next_look() -> None:
    standings: dict[str, LinkStanding] = {}
    ruled(standings, [LINK], 0)
    (made,) = ruled(standings, [], 0.2, load_policy(DEFAULT_POLICY.read_text(), "default"))
    assert isinstance(made, Decision)
    assert made.action is Action.ALLOW


def test_a_value_has_no_throttle() -> None:
    with pytest.raises(PolicyError, match="ip_prefix"):
        policy("ip_prefix: throttle")


class World:
    """Members who share a card, others who carry it too, and the campaign they are."""

    def __init__(self, *, acted: int, members: int = 0, outsiders: int = 0, card: str = "card") -> None:
        self.profiles = Profiles()
        roles = [Role.ACT] * acted + [Role.MEMBER] * members
        everybody = {f"m{number}": role for number, role in enumerate(roles)}
        for number, tenant_id in enumerate([*everybody, *(f"o{number}" for number in range(outsiders))]):
            profile = Profile(payment_fp=card, ip_prefixes=[f"home-{number}"])
            self.profiles.add(Signal(tenant_id, 0, 0, BEGIN_MS, 1, profile))
        pool = Pool(np.ones(len(self.profiles)))
        self.campaign = Campaign("c-1", BEGIN_MS, pool, CampaignKind.DISTILLATION, Status.CONFIRMED, pooled=["payer"])
        self.campaign.proofs = {group: Proof(100.0, 0.0, 20.0) for group in ("payer", "genesis", "content")}
        self.campaign.members = {name: Member(name, 0.99, role, BEGIN_MS, {}) for name, role in everybody.items()}

    def found(self, rules: Policy | None = None) -> list[SharedLink]:
        people = population(self.profiles, np.ones(len(self.profiles), np.bool_))
        return shared_links([self.campaign], people, self.profiles, rules or policy(), BEGIN_MS)


def test_a_card_of_the_act_set_is_found_with_who_carries_it() -> None:
    assert World(acted=5, members=2, outsiders=2).found() == [SharedLink("payment_fp", "card", "c-1", 0.7692, 5, 2)]


@pytest.mark.parametrize(
    ("acted", "members", "outsiders"),
    [(4, 9, 0), (5, 0, 3), (30, 0, 3)],
    ids=["few", "strangers", "many and strangers"],
)
def test_a_value_that_few_act_on_or_strangers_carry_is_left_alone(acted: int, members: int, outsiders: int) -> None:
    assert World(acted=acted, members=members, outsiders=outsiders).found() == []


def test_an_allow_listed_carrier_a_doubted_campaign_or_a_silent_policy_leave_a_value_alone() -> None:
    world = World(acted=8)
    entry = {"subject": "account:m3/a", "until": "2027-01-01", "purpose": "contracted distillation"}
    assert world.found(Policy.model_validate(policy().model_dump() | {"allow_list": [entry]})) == []
    assert world.found(policy("ip_prefix: block")) == []
    assert world.found(load_policy(DEFAULT_POLICY.read_text(), "default")) == []
    world.campaign.status = Status.RETRACTED
    assert world.found() == []


def test_a_limiter_that_is_told_the_prefix_meets_a_replacement_at_its_first_request() -> None:
    (made,) = ruled({}, [LINK], 0, policy("ip_prefix: block, mode: enforced", mode="enforced"))
    assert isinstance(made, Decision)
    table = DecisionsTable()
    limiter = Limiter(table, CollectorRegistry(), clock=lambda: BEGIN_MS / 1000 + 60)
    assert table.apply(made.key.encode(), msgspec.json.encode(made), BEGIN_MS) is None
    table.mark_complete(BEGIN_MS + 60_000)
    assert not limiter.check(RequestFacts("new", "a", ip_prefix="203.0.1.0/24")).allowed
    assert limiter.check(RequestFacts("new", "a", ip_prefix="203.0.2.0/24")).allowed
    assert limiter.check(RequestFacts("new", "a")).allowed
