"""Small worlds of signals for tests of the campaign stage: honest crowds of many kinds, and campaigns among them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from stream_app.detection.signals import Profile, PromptSketch, Signal

DAY_MS = 86_400_000
#: 2026-01-10T00:00:00Z, when these worlds begin.
BEGIN_MS = 1_768_003_200_000


class Person(NamedTuple):
    """One tenant: its links, how its prompts are made, and requests a day."""

    tenant_id: str
    created_ms: int
    links: dict[str, Any]
    wrappers: list[str]
    mix: float
    is_repeating: bool = False
    rate: float = 12.0
    starts_ms: int = BEGIN_MS
    liking: "np.ndarray[tuple[int], np.dtype[np.float64]] | None" = None


class Crowd:
    """Draws people and their signals; everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.people: list[Person] = []

    def _name(self) -> str:
        return f"t{self.rng.integers(1 << 48):012x}"

    def _own(self) -> dict[str, Any]:
        """What an unrelated person carries: an own card, popular software, a home address some neighbours share."""
        rng = self.rng
        homes = [f"home-{rng.integers(40_000)}" for _ in range(int(rng.integers(1, 4)))]
        if rng.random() < 0.1:
            homes.append(f"mobile-{rng.integers(5)}")
        return {
            "payment_fp": f"card-{rng.integers(1 << 40):x}",
            "signup_fp": f"device-{rng.integers(1 << 40):x}",
            "ja4": [f"client-{min(int(rng.zipf(1.6)), 400)}"],
            "ip_prefixes": homes,
        }

    def _person(self, created_ms: int, wrappers: list[str], mix: float, links: dict[str, Any], **more: Any) -> None:
        self.people.append(Person(self._name(), created_ms, self._own() | links, wrappers, mix, **more))

    def _old_ms(self) -> int:
        return BEGIN_MS - int(self.rng.exponential(200 * DAY_MS)) - 1000

    def _burst_ms(self, days: float = 3.0) -> int:
        return BEGIN_MS - int(days * DAY_MS) + int(self.rng.integers(3 * 3_600_000))

    def ordinary(self, count: int) -> None:
        """People who have nothing to do with each other."""
        for _ in range(count):
            self._person(self._old_ms(), [], 0.0, {})

    def reseller(self, count: int) -> None:
        """One card for many customers, who come from the reseller's servers."""
        for _ in range(count):
            links = {"payment_fp": "reseller", "ip_prefixes": [f"rack-{self.rng.integers(6)}"]}
            self._person(self._old_ms(), [], 0.0, links)

    def school_class(self, count: int) -> None:
        """One campus, one afternoon of signups, one assignment."""
        for _ in range(count):
            links = {"ip_prefixes": [f"campus-{self.rng.integers(2)}"]}
            self._person(self._burst_ms(), ["assignment"], 0.4, links, is_repeating=True)

    def fleet(self, count: int) -> None:
        """An integrator's devices: one card, one client, one system prompt, provisioned in bursts."""
        for _ in range(count):
            links = {"payment_fp": "integrator", "signup_fp": "provisioning", "ja4": ["fleet"], "systems": ["kiosk"]}
            self._person(self._burst_ms(5), ["kiosk-1", "kiosk-2"], 1.0, links)

    def coding_agent(self, count: int) -> None:
        """Users of a popular tool: its client, its system prompt, its wrappers; and nothing else."""
        for _ in range(count):
            links = {"ja4": ["agent"], "systems": ["agent-system"]}
            self._person(self._old_ms(), ["agent-1", "agent-2", "agent-3"], 0.8, links)

    def flash_crowd(self, count: int) -> None:
        """Everybody signs up after the news and tries the same prompt."""
        for _ in range(count):
            self._person(self._burst_ms(1), ["news"], 0.3, {}, is_repeating=True)

    def agencies(self, count: int) -> None:
        """Some cards with a few tenants each."""
        for agency in range(count):
            for _ in range(int(self.rng.integers(2, 10))):
                self._person(self._old_ms(), [], 0.0, {"payment_fp": f"agency-{agency}"})

    def campaign(
        self, count: int, *, name: str = "c", share: float = 0.5, mix: float = 0.1, without: Iterable[str] = ()
    ) -> set[str]:
        """A campaign whose accounts carry each link with probability ``share``; their ids."""
        rng, first = self.rng, len(self.people)
        for _ in range(count):
            shared = {
                "payment_fp": f"{name}-card-{rng.integers(max(count // 8, 1))}",
                "signup_fp": f"{name}-phone-{rng.integers(max(count // 20, 1))}",
                "ja4": [f"{name}-client"],
                "ip_prefixes": [f"{name}-pool-{rng.integers(max(count // 5, 6))}" for _ in range(3)],
            }
            links = {link: value for link, value in shared.items() if link not in without and rng.random() < share}
            is_burst = "burst" not in without and rng.random() < share
            created_ms = self._burst_ms(1 + float(rng.integers(4))) if is_burst else self._old_ms()
            wrappers = [f"{name}-wrapper-{number}" for number in range(12)]
            self._person(created_ms, wrappers, mix, links, starts_ms=BEGIN_MS + DAY_MS)
        return {person.tenant_id for person in self.people[first:]}

    def hidden_campaign(self, count: int, *, mix: float = 0.3, wrappers: int = 6) -> set[str]:
        """A campaign of own cards, addresses and hours, on the three most popular clients: only its queue ties it."""
        first = len(self.people)
        for _ in range(count):
            links = {"ja4": [f"client-{self.rng.integers(1, 4)}"]}
            names = [f"hidden-{number}" for number in range(wrappers)]
            self._person(self._old_ms(), names, mix, links, starts_ms=BEGIN_MS + DAY_MS)
        return {person.tenant_id for person in self.people[first:]}

    def extension(self, count: int) -> set[str]:
        """Users of a browser extension with keys of their own: its client and its few prompts, each as it is needed."""
        first = len(self.people)
        for _ in range(count):
            self._person(self._old_ms(), [f"extension-{number}" for number in range(5)], 0.5, {"ja4": ["extension"]})
        return {person.tenant_id for person in self.people[first:]}

    def collection(self, count: int, name: str, *, have_favourites: bool) -> set[str]:
        """Users of a collection of prompts on popular clients: with favourites, or some far more often than others."""
        first, rng = len(self.people), self.rng
        names = [f"{name}-{number}" for number in range(5)]
        for _ in range(count):
            mix = 0.3 if have_favourites else min(float(rng.lognormal(np.log(0.2), 0.8)), 0.9)
            liking = rng.dirichlet(np.ones(len(names))) if have_favourites else None
            self._person(self._old_ms(), names, mix, {"ja4": [f"client-{rng.integers(1, 4)}"]}, liking=liking)
        return {person.tenant_id for person in self.people[first:]}

    def signals(self, days: float) -> list[Signal]:
        """The stream's signals in order of time; an extraction, where there is one, begins after a day."""
        found = []
        for person in self.people:
            count = max(1, int(self.rng.poisson(person.rate * days)))
            times = np.sort(self.rng.integers(0, int(days * DAY_MS), count)) // 300_000 * 300_000
            ends, requests = np.unique(times, return_counts=True)
            for sequence, (end, sent) in enumerate(zip(ends.tolist(), requests.tolist(), strict=True)):
                found.append(self._signal(person, BEGIN_MS + end + 300_000, sequence, sent))
        return sorted(found, key=lambda signal: (signal.pane_end_ms, signal.tenant_id))

    def _signal(self, person: Person, end_ms: int, sequence: int, requests: int) -> Signal:
        prompts = [self._prompt(person, end_ms) for _ in range(requests)]
        profile = Profile(created_ms=person.created_ms, prompts=prompts, models={"small": requests}, **person.links)
        return Signal(person.tenant_id, 0, sequence, end_ms, requests, profile)

    def _prompt(self, person: Person, end_ms: int) -> PromptSketch:
        rng = self.rng
        simhash = f"{rng.integers(1 << 62):016x}"
        if end_ms > person.starts_ms and rng.random() < person.mix:
            count, liking = len(person.wrappers), person.liking
            wrapper = person.wrappers[int(rng.integers(count) if liking is None else rng.choice(count, p=liking))]
            if person.is_repeating:
                simhash = f"{rng.integers(20):016x}"
            return PromptSketch(simhash, [wrapper])
        if rng.random() < 0.3:
            return PromptSketch(simhash, [f"common-{min(int(rng.zipf(1.4)), 3000)}"])
        return PromptSketch(simhash, [f"once-{rng.integers(1 << 40):x}"] if rng.random() < 0.5 else [])


def campaign_events() -> Iterator[dict[str, Any]]:
    """A few hours in which a campaign of shared cards works among ordinary people, in order of time."""
    crowd = Crowd(3)
    crowd.ordinary(300)
    crowd.campaign(120, share=0.9, mix=0.9)
    for one in crowd.signals(1.25):
        if one.pane_end_ms < BEGIN_MS + 0.95 * DAY_MS:
            continue
        profile = one.profile
        for number, prompt in enumerate(profile.prompts):
            yield {
                "id": f"{one.tenant_id}-{one.sequence}-{number}",
                "time": _time(one.pane_end_ms - 1000),
                "tenant_id": one.tenant_id,
                "account_id": "a",
                "model": "small",
                "status_code": 200,
                "input_tokens": 10,
                "output_tokens": 10,
                "account": {
                    "created_at": _time(int(profile.created_ms or 0)),
                    "payment_fp": profile.payment_fp,
                    "signup_fp": profile.signup_fp,
                },
                "client": {"ja4": profile.ja4[0], "ip_prefix": profile.ip_prefixes[number % len(profile.ip_prefixes)]},
                "prompt": {"simhash": prompt.simhash, "templates": prompt.templates},
            }


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()
