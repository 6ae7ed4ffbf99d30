"""What partners tell: it finds what nobody could prove alone, acts on nobody, and popular values weigh nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson
import pytest
from msgspec import structs

from stream_app.detection.campaigns.entries import plain_header
from stream_app.detection.campaigns.indicators import PRIOR, Exchange, Indicators, Part, Partners
from stream_app.detection.campaigns.links import population
from stream_app.detection.campaigns.records import Campaign, Status, Verdict
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.signals import Signal
from tests.unit.campaign_worlds import BEGIN_MS, DAY_MS, Crowd

KEY = b"shared between the three of them"
NAMES = ("north", "east", "south")
END_MS = BEGIN_MS + 2 * DAY_MS


def digest(kind: str, text: str) -> str:
    return blake2b(text.encode(), digest_size=8, key=KEY, person=kind.encode()).hexdigest()


EXCHANGE = Exchange("shared", digest)


class Provider(NamedTuple):
    name: str
    signals: list[Signal]
    members: set[str]


def exchanged(signals: Iterable[Signal]) -> list[Signal]:
    """Signals whose skeletons were hashed once more, under the shared key; under its own each provider has others."""
    found = []
    for signal in signals:
        templates = dict.fromkeys(template for prompt in signal.profile.prompts for template in prompt.templates)
        profile = structs.replace(signal.profile, exchanged=[digest("template", text) for text in templates])
        found.append(structs.replace(signal, profile=profile))
    return found


def provider(name: str, seed: int, accounts: int) -> Provider:
    """Honest crowds, and as many accounts of one campaign as asked; its values are the same everywhere."""
    crowd = Crowd(seed)
    crowd.ordinary(300)
    for group in (crowd.reseller, crowd.school_class, crowd.coding_agent):
        group(20)
    members = crowd.campaign(accounts, share=1.0, mix=0.25, without=("payment_fp", "signup_fp", "ip_prefixes"))
    for place, person in enumerate(crowd.people[-accounts:], len(crowd.people) - accounts):
        prefixes = {"ip_prefixes": [f"pool-{number}" for number in crowd.rng.integers(24, size=3)]}
        crowd.people[place] = person._replace(links=person.links | prefixes)
    return Provider(name, exchanged(crowd.signals(2.0)), members)


def run(
    signals: Sequence[Signal], told: Iterable[Indicators] = (), exchange: Exchange | None = EXCHANGE
) -> tuple[CampaignStage, list[Verdict]]:
    stage, verdicts = CampaignStage(), []
    stage.exchange = exchange
    for one in told:
        stage.learn(one)
    waiting = list(signals)
    for now_ms in range(BEGIN_MS + 3 * DAY_MS // 2, END_MS + 1, DAY_MS // 2):
        for signal in [signal for signal in waiting if signal.pane_end_ms <= now_ms]:
            verdicts += stage.take(signal)
        waiting = [signal for signal in waiting if signal.pane_end_ms > now_ms]
        verdicts += stage.look(now_ms)
    return stage, verdicts


def parts(stage: CampaignStage) -> list[Part]:
    return [Part(one.campaign_id, len(one.members), False, one.shared.values) for one in stage.campaigns if one.shared]


def bundle(name: str, told: list[Part], expires_ms: int = END_MS + DAY_MS) -> Indicators:
    return Indicators(name, "shared", expires_ms, told)


def confirmed(stage: CampaignStage) -> list[Campaign]:
    return [campaign for campaign in stage.campaigns if campaign.status is Status.CONFIRMED]


def acted(told: Iterable[Verdict]) -> set[str]:
    return {verdict.tenant_id for verdict in told if verdict.role in {Role.ACT, Role.BLOCK}}


@pytest.fixture(scope="module")
def providers() -> list[Provider]:
    """Nineteen accounts each: fewer than any verdict takes."""
    return [provider(name, seed, 19) for name, seed in zip(NAMES, (4, 5, 6), strict=True)]


@pytest.fixture(scope="module")
def alone(providers: list[Provider]) -> list[CampaignStage]:
    return [run(one.signals)[0] for one in providers]


@pytest.fixture(scope="module")
def bundles(alone: list[CampaignStage]) -> list[Indicators]:
    return [bundle(name, parts(stage)) for name, stage in zip(NAMES, alone, strict=True)]


@pytest.fixture(scope="module")
def pooled(providers: list[Provider], bundles: list[Indicators]) -> list[tuple[CampaignStage, list[Verdict]]]:
    """Each provider again, with what the other two told."""
    return [run(one.signals, [told for told in bundles if told.partner != one.name]) for one in providers]


def test_a_campaign_that_no_provider_can_confirm_alone_is_found_by_all_of_them_together(
    providers: list[Provider], alone: list[CampaignStage], pooled: list[tuple[CampaignStage, list[Verdict]]]
) -> None:
    assert [confirmed(stage) for stage in alone] == [[], [], []]
    found: set[str] = set()
    for one, (stage, _) in zip(providers, pooled, strict=True):
        (campaign,) = confirmed(stage)
        assert campaign.partners == sorted(set(NAMES) - {one.name})
        assert campaign.members.keys() <= one.members
        assert orjson.loads(orjson.dumps(plain_header(campaign)))["partners"] == campaign.partners
        found |= campaign.members.keys()
    assert len(found) >= 0.9 * sum(len(one.members) for one in providers)


def test_what_partners_help_to_confirm_is_watched_and_nobody_is_acted_on(
    pooled: list[tuple[CampaignStage, list[Verdict]]],
) -> None:
    roles = {verdict.role for _, told in pooled for verdict in told}
    assert roles == {Role.MEMBER}


def test_what_may_leave_holds_digests_and_counts_and_nothing_of_the_crowds(
    providers: list[Provider], bundles: list[Indicators]
) -> None:
    raw = {text for one in providers for signal in one.signals for text in (signal.tenant_id, *signal.profile.ja4)}
    for told in bundles:
        (part,) = told.parts
        assert not raw & {*part.values, *(name for values in part.values.values() for name in values)}
        assert min(count for values in part.values.values() for count in values.values()) >= 2
        assert digest("ja4", "agent") not in part.values["ja4"]


def test_popular_values_in_a_bundle_change_nothing(providers: list[Provider], alone: list[CampaignStage]) -> None:
    """Whoever names what everybody carries, in any quantity, raises nobody's prior."""
    one, stage = providers[0], alone[0]
    links = {kind: stage.profiles.links[kind][: len(stage.profiles)].ravel().tolist() for kind in ("ja4", "prefix")}
    popular = {
        kind: {digest(kind, stage.profiles.names[value]): 1000 for value, _ in Counter(values).most_common(80) if value}
        for kind, values in links.items()
    }
    common = Counter(stage.profiles.exchanged[: len(stage.profiles)].ravel().tolist()).most_common(80)
    skeletons = {f"{value & 0xFFFFFFFF:08x}": 1000 for value, _ in common if value}
    poison = bundle("rogue", [Part("p", 1000, True, popular | {"content": skeletons})])
    poisoned, told = run(one.signals, [poison])
    assert told == []
    assert confirmed(poisoned) == []
    assert [campaign.members for campaign in poisoned.campaigns] == [campaign.members for campaign in stage.campaigns]


def test_a_bundle_adds_no_more_than_its_bound_to_any_tenant(
    providers: list[Provider], alone: list[CampaignStage], bundles: list[Indicators]
) -> None:
    stage = alone[0]
    people = population(stage.profiles, stage.profiles.last_ms[: len(stage.profiles)] > 0)
    partners = Partners(people, stage.profiles, bundles[1:], EXCHANGE)
    prior = max((partners.prior(campaign.pool) for campaign in stage.memory.campaigns), key=lambda nats: nats.sum())
    raised = {stage.profiles.tenant_ids[place] for place in prior.nonzero()[0]}
    assert prior.max() == PRIOR
    assert len(raised & providers[0].members) >= 0.9 * len(raised)


def test_indicators_under_another_key_or_past_their_end_mean_nothing(
    providers: list[Provider], bundles: list[Indicators]
) -> None:
    other = [structs.replace(told, key_id="another") for told in bundles[1:]]
    ended = [structs.replace(told, partner=f"late {told.partner}", expires_ms=BEGIN_MS) for told in bundles[1:]]
    stage, told = run(providers[0].signals, [*other, *ended])
    assert told == []
    assert confirmed(stage) == []
    assert {one.partner for one in stage.memory.indicators.values()} == {"east", "south"}


def test_without_a_shared_key_nothing_may_leave(providers: list[Provider]) -> None:
    stage, _ = run(providers[0].signals[:2000], exchange=None)
    assert [campaign.shared for campaign in stage.memory.campaigns if campaign.shared] == []
