"""Who is tied to a campaign's work: not a household, an agency or a class that has become part of its pool."""

from collections.abc import Sequence

import numpy as np

from stream_app.detection.campaigns.links import GROUPS, Population, population
from stream_app.detection.campaigns.profiles import Flags, Floats, Profiles
from stream_app.detection.campaigns.roles import ROLES, Role, roles
from stream_app.detection.campaigns.ties import are_tied
from stream_app.detection.signals import Profile, PromptSketch, Signal

#: Strangers, who make what they ask no rarity, and what a pool asks one.
STRANGERS = 400


class Account:
    """One account of a pool: its card, its device, the wrappers it used and its networks."""

    def __init__(self, card: str, device: str, wrappers: Sequence[str] = (), networks: Sequence[str] = ()) -> None:
        prompts = [_sketch(wrapper) for wrapper in wrappers]
        self.profile = Profile(payment_fp=card, signup_fp=device, prompts=prompts, ip_prefixes=list(networks))
        self.works = bool(wrappers)


def _sketch(wrapper: str) -> PromptSketch:
    return PromptSketch(simhash="0" * 16, templates=[wrapper])


def world(accounts: Sequence[Account]) -> tuple[Population, Floats, Floats]:
    """Population, shares and nats: all accounts are members for their client and card, and those that work by that."""
    profiles = Profiles()
    for number, account in enumerate(accounts):
        profiles.add(Signal(f"t{number}", 0, 0, 1, 1, account.profile))
    for number in range(STRANGERS):
        own = Profile(payment_fp=f"own-{number}", prompts=[_sketch(f"question-{number % 150}")])
        profiles.add(Signal(f"s{number}", 0, 0, 1, 1, own))
    count = len(accounts) + STRANGERS
    people = population(profiles, np.ones(count, np.bool_))
    nats = np.zeros((len(GROUPS), count))
    for group in ("payer", "network", "client"):
        nats[GROUPS.index(group), : len(accounts)] = 6.0
    nats[GROUPS.index("content"), : len(accounts)] = [4.0 if account.works else -1.0 for account in accounts]
    share = np.where(np.arange(count) < len(accounts), 0.99999, 0.0)
    return people, share, nats


def tied(accounts: Sequence[Account]) -> list[bool]:
    people, share, nats = world(accounts)
    found: Flags = are_tied(people, share, nats)
    assert not found[len(accounts) :].any()
    return [bool(flag) for flag in found[: len(accounts)]]


def campaign(count: int = 30) -> list[Account]:
    """Cards of six and devices of five; every other account has worked."""
    return [Account(f"card-{n // 6}", f"device-{n % 6}", ["wrap-a", "wrap-b"] * (n % 2)) for n in range(count)]


def test_a_campaigns_accounts_are_tied_whether_they_have_worked_yet_or_not() -> None:
    assert tied(campaign()) == [True] * 30


def test_an_account_without_any_link_is_tied_by_the_same_work() -> None:
    alone = Account("own", "own", ["wrap-a"])
    assert tied([*campaign(), alone])[-1]
    assert not tied([*campaign(), Account("own", "own", ["another"])])[-1]


def test_half_a_campaign_without_any_link_is_tied_by_the_work_of_the_other() -> None:
    unlinked = [Account(f"own-{n}", f"own-{n}", ["wrap-a", "wrap-b"]) for n in range(30)]
    assert tied([*campaign(), *unlinked]) == [True] * 60


def test_two_of_one_household_do_not_tie_each_other() -> None:
    household = [Account("family", "home"), Account("family", "home")]
    assert tied([*campaign(), *household])[-2:] == [False, False]


def test_customers_of_an_agency_are_tied_by_nobody_who_does_the_campaigns_work() -> None:
    agency = [Account("agency", f"desk-{n % 2}") for n in range(6)]
    people, share, nats = world([*campaign(), *agency])
    found = are_tied(people, share, nats)
    assert found[30:36].tolist() == [False] * 6
    assert [ROLES[place] for place in roles(share, nats, tied=found)][30:36] == [Role.MEMBER] * 6


def test_a_network_in_common_with_the_campaign_ties_nobody_whose_own_device_is_that_of_others_who_do_not_work() -> None:
    hosted = [Account(f"card-{n // 6}", f"device-{n % 6}", ["wrap-a", "wrap-b"] * (n % 2), ["exit"]) for n in range(30)]
    desktops = [Account(f"own-{n}", "image", (), ["exit"]) for n in range(6)]
    assert tied([*hosted, *desktops]) == [True] * 30 + [False] * 6
    assert tied([*hosted, *desktops, Account("own", "image", ["wrap-a"])]) == [True] * 37
    assert tied([*hosted, Account("own", "own", (), ["exit"])])[-1]


def test_nor_by_work_of_their_own() -> None:
    bureau = [Account("bureau", f"desk-{n % 2}", ["translate", "proofread"]) for n in range(8)]
    assert tied([*campaign(), *bureau])[30:] == [False] * 8
    assert tied([*campaign(), *bureau, Account("bureau", "desk-1", ["wrap-a"])])[-1]


def test_a_class_whose_members_have_nothing_else_in_common_do_not_vouch_for_each_other() -> None:
    learners = [Account(f"own-card-{n}", f"own-device-{n}", ["exercise-1", "exercise-2"]) for n in range(12)]
    assert tied([*campaign(), *learners])[30:] == [False] * 12


def test_cards_that_nothing_but_the_work_has_in_common_are_one_campaign() -> None:
    cells = [Account(f"card-{n // 6}", f"own-{n}", ["wrap-a", "wrap-b"] * (n % 2)) for n in range(30)]
    assert tied(cells) == [True] * 30


def test_where_no_links_hold_a_campaign_content_is_all_there_is() -> None:
    people, share, nats = world([Account(f"c{n}", f"d{n}", ["wrap-a"]) for n in range(12)])
    assert not are_tied(people, share, nats).any()
    assert are_tied(people, share, nats, is_held=False)[:12].all()
