"""No single field gives a campaign's accounts away where no links do: only a generator's accident would."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import rankdata

from stream_app.simulate.campaigns.scenarios import campaign, world

END = datetime(2025, 6, 2, 15, tzinfo=UTC)
MAX_AUC = 0.75

#: Fewer requests say little about an account, and let chance decide.
MIN_REQUESTS = 5

Event = dict[str, object]
NUMBERS = (
    "input_tokens",
    "output_tokens",
    "latency_ms",
    "max_tokens",
    "temperature",
    "stream",
    "tools",
    "refused",
    "status_code",
)
WORDS = ("model", "endpoint", "finish_reason", "error_type", "language", "max_tokens", "temperature", "tools", "stream")
PARTS = {"client": ("country", "asn", "ja4", "user_agent"), "account": ("plan", "payment_bin")}


def read_accounts(seed: int, regime: str, scale: float = 0.12) -> tuple[dict[str, list[Event]], set[str]]:
    stream = world("leaks", seed, scale, END, days=3.0, campaigns=(campaign(1, seed, scale, regime=regime),))
    events: dict[str, list[Event]] = defaultdict(list)
    for event in stream.events():
        events[str(event["account_id"])].append(event)
    members = {str(label["account_id"]) for label in stream.labels() if label["role"] == "campaign"}
    return {name: found for name, found in events.items() if len(found) >= MIN_REQUESTS}, members


def auc(scores: list[float], is_member: list[bool]) -> float:
    """Of a rule that may point either way."""
    flags = np.array(is_member)
    ranks = rankdata(scores)
    members, others = flags.sum(), (~flags).sum()
    area = (ranks[flags].sum() - members * (members + 1) / 2) / (members * others)
    return float(max(area, 1 - area))


def by_value(values: list[str], is_member: list[bool]) -> list[float]:
    """Share of members among the other half's accounts with the same value: learned on one half, told on the other."""
    scores = []
    halves: list[tuple[Counter[str], Counter[str]]] = [(Counter(), Counter()) for _ in range(2)]
    for place, (value, flag) in enumerate(zip(values, is_member, strict=True)):
        halves[place % 2][flag][value] += 1
    for place, value in enumerate(values):
        others, members = halves[1 - place % 2]
        scores.append((members[value] + 0.1) / (members[value] + others[value] + 1))
    return scores


def shown(event: Event, part: str, name: str) -> str:
    held = event.get(part)
    return str(held.get(name, "")) if isinstance(held, dict) else ""


def number(event: Event, name: str) -> float:
    value = event.get(name, -1)
    assert isinstance(value, int | float)
    return float(value)


def mean_of(name: str) -> Callable[[list[Event]], float]:
    return lambda events: float(np.mean([number(event, name) for event in events]))


def usual(values: list[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def single_field_aucs(accounts: dict[str, list[Event]], members: set[str]) -> dict[str, float]:
    names = sorted(accounts)
    is_member = [name in members for name in names]
    found: dict[str, float] = {}
    for field in NUMBERS:
        found[f"mean {field}"] = auc([mean_of(field)(accounts[name]) for name in names], is_member)
    for field in WORDS:
        values = [usual([str(event.get(field)) for event in accounts[name]]) for name in names]
        found[field] = auc(by_value(values, is_member), is_member)
    for part, fields in PARTS.items():
        for field in fields:
            values = [usual([shown(event, part, field) for event in accounts[name]]) for name in names]
            found[f"{part}.{field}"] = auc(by_value(values, is_member), is_member)
    for part in ("client", "account", "prompt", "session_id", "language", "endpoint"):
        shares = [float(np.mean([part in event for event in accounts[name]])) for name in names]
        found[f"has {part}"] = auc(shares, is_member)
    created = [max(shown(event, "account", "created_at") for event in accounts[name]) for name in names]
    known = [place for place, time in enumerate(created) if time]
    found["created_at"] = auc(
        [datetime.fromisoformat(created[place]).timestamp() for place in known], [is_member[place] for place in known]
    )
    found["requests"] = auc([len(accounts[name]) for name in names], is_member)
    hours = [usual([str(event["time"])[11:13] for event in accounts[name]]) for name in names]
    found["hour"] = auc(by_value(hours, is_member), is_member)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5])
def test_no_single_field_tells_members_in_the_hard_regime(seed: int) -> None:
    accounts, members = read_accounts(seed, "hard")
    found = single_field_aucs(accounts, members)
    assert len(found) > 25
    assert {name: area for name, area in found.items() if area > MAX_AUC} == {}


@pytest.mark.slow
def test_the_classifier_sees_a_link() -> None:
    accounts, members = read_accounts(4, "all", scale=0.05)
    assert single_field_aucs(accounts, members)["client.ja4"] > MAX_AUC
