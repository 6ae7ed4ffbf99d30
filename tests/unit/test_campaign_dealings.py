"""Whether accounts have a say in what they ask: a queue's have none, and honest crowds that look like one have."""

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
import pytest

from stream_app.detection.campaigns.confirmation import CampaignKind, Findings, kind_of
from stream_app.detection.campaigns.dealings import Dealing, dealing_of, numbered, numbers_of_wrappers
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.links import population
from stream_app.detection.campaigns.profiles import Profiles, value_hash
from stream_app.detection.campaigns.proofs import Proof
from stream_app.detection.campaigns.queues import Queue, queue_of
from stream_app.detection.signals import Profile, PromptSketch, Signal
from tests.unit.campaign_worlds import BEGIN_MS

WRAPPERS = [f"wrapper-{number}" for number in range(5)]
Rng = np.random.Generator
#: Of one account: its wrappers in the order in which it uses them, and the share of its prompts that have one.
Habit = Callable[[Rng], tuple[Iterator[str], float]]


def dealt(rng: Rng) -> tuple[Iterator[str], float]:
    return iter(lambda: str(rng.choice(WRAPPERS)), None), 0.2


def with_favourites(rng: Rng) -> tuple[Iterator[str], float]:
    """Whoever has a collection of prompts likes some of them better, any mixture as likely as another."""
    liking = rng.dirichlet(np.ones(len(WRAPPERS)))
    return iter(lambda: str(rng.choice(WRAPPERS, p=liking)), None), 0.2


def in_turn(rng: Rng) -> tuple[Iterator[str], float]:
    """A program that takes everything through its prompts, one after the other."""
    names = cycle(WRAPPERS)
    for _ in range(int(rng.integers(len(WRAPPERS)))):
        next(names)
    return names, 0.5


def now_and_then_or_often(rng: Rng) -> tuple[Iterator[str], float]:
    """No favourites, but some use the collection several times as often as others."""
    return dealt(rng)[0], min(float(rng.lognormal(np.log(0.15), 0.8)), 0.9)


def always(rng: Rng) -> tuple[Iterator[str], float]:
    """Users of a program that sends nothing but its own prompts, whichever comes next."""
    return dealt(rng)[0], 0.98


def of_a_crowd(habit: Habit, count: int = 200, *, is_late: bool = False) -> Dealing:
    """Such accounts beside as many strangers; where they are late, each begins somewhere in the midst."""
    rng = np.random.default_rng(7)
    profiles = Profiles()
    for number in range(2 * count):
        chosen, share = habit(rng) if number < count else (iter(()), 0.0)
        sent = 4 + int(rng.poisson(20))
        begins = int(rng.integers(sent // 2)) if is_late else 0
        prompts = [
            PromptSketch("", [next(chosen) if place >= begins and rng.random() < share else f"{number}-{place}"])
            for place in range(sent)
        ]
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, sent, Profile(prompts=prompts)))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    wrappers = numbered(people, profiles, np.unique([value_hash(name) for name in WRAPPERS]).astype(np.int32))
    carriers = np.count_nonzero(numbers_of_wrappers(people, wrappers))
    found = dealing_of(people, profiles, wrappers, np.arange(2 * count) < count)
    assert found.accounts == carriers <= count
    return found


@pytest.mark.parametrize("is_late", [False, True])
def test_a_queue_leaves_its_accounts_no_say(is_late: bool) -> None:
    assert of_a_crowd(dealt, is_late=is_late).is_even


@pytest.mark.parametrize(
    ("habit", "bound"),
    [
        (with_favourites, "most_alike"),
        (in_turn, "least_alike"),
        (now_and_then_or_often, "unequal"),
        (always, "wrapped"),
    ],
)
def test_honest_crowds_have_one(habit: Habit, bound: str) -> None:
    """Each is told by one bound, and would be a queue's but for that."""
    found = of_a_crowd(habit)
    assert not found.is_even
    assert found._replace(**{bound: getattr(of_a_crowd(dealt), bound)}).is_even


def test_beginning_and_end_of_one_wrapper_are_one() -> None:
    profiles = Profiles()
    for number in range(60):
        prompts = [PromptSketch("", ["first", "last"]), PromptSketch("", ["other"] if number % 2 else [])]
        profiles.add(Signal(f"t{number:02}", 0, 0, BEGIN_MS, 2, Profile(prompts=prompts)))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    wrappers = numbered(people, profiles, np.unique([value_hash(name) for name in ("first", "last", "other")]))
    assert wrappers[value_hash("first")] == wrappers[value_hash("last")] != wrappers[value_hash("other")]
    assert numbers_of_wrappers(people, wrappers).tolist() == [1, 2] * 30


@pytest.mark.parametrize(("wrappers", "is_dealt"), [(6, True), (60, True), (300, False)])
def test_a_crowd_whose_questions_are_alike_in_hundreds_of_ways_is_no_queue(wrappers: int, is_dealt: bool) -> None:
    rng, profiles = np.random.default_rng(7), Profiles()
    for number in range(200):
        asked = [f"w{rng.integers(wrappers)}" if rng.random() < 0.4 else f"{number}-{place}" for place in range(20)]
        profile = Profile(prompts=[PromptSketch("", [name]) for name in asked])
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 20, profile))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    own = np.unique([value_hash(f"w{number}") for number in range(wrappers)]).astype(np.int32)
    queue = queue_of(people, profiles, Pool(np.ones(len(profiles))), own)
    assert queue.excess < 1.2
    assert queue.is_dealt is is_dealt


@pytest.mark.parametrize("is_chosen", [False, True])
def test_wrappers_that_follow_each_other_are_not_chosen(is_chosen: bool) -> None:
    """A queue of sixty accounts takes one wrapper a day; people like one of those that are there each day."""
    rng, profiles = np.random.default_rng(7), Profiles()
    likings = rng.dirichlet(np.full(5, 0.5), 60)
    for day in range(5):
        for number in range(60):
            asked = rng.choice(5, 3, p=likings[number]) if is_chosen else np.full(3, day)
            prompts = [PromptSketch("", [f"w{wrapper}"]) for wrapper in asked]
            sent_ms = BEGIN_MS + (24 * day + int(rng.integers(24))) * 3_600_000
            profiles.add(Signal(f"t{number:03}", 0, day, sent_ms, 3, Profile(prompts=prompts)))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    own = np.unique([value_hash(f"w{number}") for number in range(5)]).astype(np.int32)
    queue = queue_of(people, profiles, Pool(np.ones(len(profiles))), own)
    assert queue.is_chosen is is_chosen
    assert queue.is_dealt is not is_chosen
    assert queue.pairs == 60 * 15 * 14 / 2


def test_prompts_of_one_time_are_compared_with_all_others_of_it() -> None:
    """So are those of a state without times: who stands beside whom in it, here people of one taste, says nothing."""
    profiles = Profiles()
    for number in range(60):
        prompts = [PromptSketch("", [f"w{number // 20}"])] * 6
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 6, Profile(prompts=prompts)))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    own = np.unique([value_hash(f"w{number}") for number in range(3)]).astype(np.int32)
    assert queue_of(people, profiles, Pool(np.ones(len(profiles))), own).is_chosen


@pytest.mark.parametrize(("members", "is_own"), [(0, False), (100, False), (130, True), (200, True)])
def test_wrappers_that_mostly_others_use_are_not_the_pools(members: int, is_own: bool) -> None:
    profiles = Profiles()
    for number in range(200):
        profiles.add(Signal(f"t{number:03}", 0, 0, BEGIN_MS, 1, Profile(prompts=[PromptSketch("", ["w"])])))
    people = population(profiles, np.ones(len(profiles), np.bool_))
    found = dealing_of(people, profiles, {value_hash("w"): 0}, np.arange(200) < members)
    assert found.joined == members / 200
    assert found.is_own is is_own


def test_few_accounts_show_nothing() -> None:
    assert not of_a_crowd(dealt, 45).is_even


def test_before_anything_is_known_nothing_is_even() -> None:
    assert not Dealing().is_even


def test_some_users_of_a_popular_prompt_who_send_other_popular_ones_are_no_queue() -> None:
    """Sixty of two thousand, as they were left of a pool at 100,000 tenants: among all carriers it is one wrapper."""
    queue = Queue(wrappers=4.3, excess=1.23, pairs=144.0, shared_bodies=0.1, dealt=1.0)
    for wrappers, kind in ((1.6, CampaignKind.COHORT), (3.9, CampaignKind.DISTILLATION)):
        proofs = {"content": Proof(nats=200.0, control=0.0, provers=60.0)}
        found = Findings(proofs, queue=queue, dealing=Dealing(accounts=1667, wrappers=wrappers, joined=1.0))
        assert kind_of(found, {"content"}, set(), members=60) is kind


def test_a_verdict_on_content_alone_takes_a_queue_without_favourites_and_no_links_of_a_product() -> None:
    content = {"content": Proof(nats=300.0, control=0.0, provers=60.0)}

    def kind(  # noqa: PLR0917
        groups: set[str],
        pooled: set[str],
        proofs: dict[str, Proof] = content,
        favoured: float = 1.0,
        joined: float = 0.8,
        dealt: float = 1.0,
    ) -> CampaignKind:
        queue = Queue(wrappers=4.0, excess=1.1, pairs=400.0, shared_bodies=0.0, dealt=dealt)
        dealing = Dealing(accounts=200, wrappers=4.0, favoured=favoured, joined=joined)
        return kind_of(Findings(proofs, queue=queue, dealing=dealing), groups, pooled, members=80)

    assert kind({"content", "client"}, set()) is CampaignKind.DISTILLATION
    assert kind({"content", "client"}, set(), favoured=1.6) is CampaignKind.COHORT
    assert kind({"content", "client"}, set(), joined=0.4) is CampaignKind.COHORT
    assert kind({"content", "client"}, set(), dealt=0.6) is CampaignKind.COHORT
    assert (
        kind({"content", "client"}, set(), {"content": Proof(nats=80.0, control=0.0, provers=40.0)})
        is CampaignKind.COHORT
    )
    assert kind({"content", "client", "network"}, {"network"}) is CampaignKind.COHORT
    assert kind({"content", "device", "network"}, {"network"}) is CampaignKind.DISTILLATION
