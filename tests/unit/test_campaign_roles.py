"""Who is a member, and how far it may be taken: by evidence of its own."""

import numpy as np

from stream_app.detection.campaigns.links import GROUPS, population
from stream_app.detection.campaigns.profiles import Profiles
from stream_app.detection.campaigns.roles import ROLES, Role, carries_own_client, roles
from stream_app.detection.signals import Profile, Signal


def role_of(share: float = 0.9999, *, is_held: bool = True, **nats: float) -> Role | None:
    """Role of one tenant with nats by group."""
    column = np.array([[nats.get(group, 0.0)] for group in GROUPS])
    return ROLES[int(roles(np.array([share]), column, is_held=is_held)[0])]


def test_a_popular_client_alone_makes_nobody_a_member() -> None:
    assert role_of(client=9.0) is None
    assert role_of(genesis=5.0, payer=-2.0) is None
    assert role_of(client=9.0, payer=1.5) is None
    assert role_of(client=9.0, genesis=2.5) is Role.MEMBER
    assert role_of(0.9, client=9.0, network=2.5) is Role.MEMBER
    assert role_of(payer=6.0) is Role.MEMBER


def test_where_no_links_hold_a_campaign_its_members_have_content_or_a_hard_link() -> None:
    assert role_of(is_held=False, client=5.0, genesis=3.0, payer=1.0) is None
    assert role_of(is_held=False, client=5.0, genesis=3.0, content=2.0) is not None
    assert role_of(is_held=False, client=5.0, network=4.0) is not None


def test_a_popular_client_and_an_hour_of_creation_make_a_member_of_nobody_who_is_not_clearly_one() -> None:
    assert role_of(0.91, client=3.2, genesis=4.6, payer=-0.6) is None
    assert role_of(0.91, client=3.2, genesis=4.6, network=2.5) is Role.MEMBER
    assert role_of(0.999, client=9.0, genesis=4.6) is Role.MEMBER


def test_acting_takes_two_kinds_of_evidence_and_blocking_content_and_a_hard_link() -> None:
    assert role_of(payer=6.0, client=3.0) is Role.ACT
    assert role_of(client=5.0, genesis=5.0) is Role.MEMBER
    assert role_of(network=7.0, client=2.5) is Role.MEMBER
    assert role_of(network=7.0, client=2.5, genesis=2.5) is Role.ACT
    assert role_of(network=7.0, client=5.0) is Role.ACT
    assert role_of(network=5.0, client=8.0) is Role.MEMBER
    assert role_of(client=9.0, content=2.5) is Role.ACT
    assert role_of(0.99999, payer=6.0, client=3.0, content=4.0) is Role.BLOCK


def test_a_client_that_hardly_anybody_has_whom_nothing_else_holds_is_the_campaigns_own() -> None:
    profiles = Profiles()
    clients = ["own"] * 12 + ["popular"] * 40
    for number, client in enumerate(clients):
        profiles.add(Signal(f"t{number}", 0, 0, 1, 1, Profile(ja4=[client])))
    people = population(profiles, np.ones(len(clients), np.bool_))
    nats = np.zeros((len(GROUPS), len(clients)))
    nats[GROUPS.index("client")] = 6.0
    held = np.isin(np.arange(len(clients)), [*range(8), *range(20, 35)])
    nats[GROUPS.index("payer"), held] = 5.0
    share = np.full(len(clients), 0.9)
    own = carries_own_client(people, share, nats)
    assert own.tolist() == [client == "own" for client in clients]
    found = [ROLES[place] for place in roles(share, nats, own_client=own)]
    assert found[8:12] == [Role.MEMBER] * 4
    assert found[40:] == [None] * 12


def test_a_client_of_few_members_is_nobodys_own() -> None:
    profiles = Profiles()
    for number in range(5):
        profiles.add(Signal(f"t{number}", 0, 0, 1, 1, Profile(ja4=["rare"])))
    people = population(profiles, np.ones(5, np.bool_))
    nats = np.zeros((len(GROUPS), 5))
    nats[GROUPS.index("payer"), :4] = 5.0
    assert not carries_own_client(people, np.full(5, 0.9), nats).any()
