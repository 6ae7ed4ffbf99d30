"""What is asked of campaign detection, and what a run says of it; at a small size every figure is harder to reach."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from msgspec import Struct

from benchmarks.campaigns.outcomes import STILLWATCH, Outcome
from stream_app.simulate.campaigns.links import LINKS

#: Outcomes of one plan, a seed each, by plan and detector.
Told = Mapping[tuple[str, str], list[Outcome]]


class Verdict(Struct, frozen=True):
    """``is_met`` is None where nothing was run that could say."""

    asked: str
    measured: str
    is_met: bool | None


class _Asked(Struct, frozen=True):
    asked: str
    keys: tuple[str, ...]
    value: Callable[[Outcome], float | None]
    least: float


_SINGLE = tuple(f"ablations/{link}" for link in LINKS)
_PAIRS = tuple(f"ablations/{one}, {other}" for one, other in combinations(LINKS, 2))
_HALF, _HARD = ("regimes/half, mix 10 %",), ("regimes/hard, mix 10 %",)

_ASKED = (
    _Asked("half links: members in time ≥ 95 %", _HALF, lambda one: one.in_time, 0.95),
    _Asked("half links: act set in time ≥ 80 %", _HALF, lambda one: one.act_in_time, 0.8),
    _Asked("half links: act set a day later ≥ 92 %", _HALF, lambda one: one.act_next_day, 0.92),
    _Asked("half links: precision of the act set ≥ 99.9 %", _HALF, lambda one: one.act and one.act[1], 0.999),
    _Asked("hard: members in time ≥ 90 %", _HARD, lambda one: one.in_time, 0.9),
    _Asked("hard: act set in time ≥ 45 %", _HARD, lambda one: one.act_in_time, 0.45),
    _Asked("hard: act set a day later ≥ 85 %", _HARD, lambda one: one.act_next_day, 0.85),
    _Asked("hard: precision of the act set ≥ 99.5 %", _HARD, lambda one: one.act and one.act[1], 0.995),
    _Asked("any one link missing: members ≥ 90 %", _SINGLE, lambda one: one.member and one.member[0], 0.9),
    _Asked("any two links missing: members ≥ 75 %", _PAIRS, lambda one: one.member and one.member[0], 0.75),
    _Asked("5 % mix: members in time ≥ 95 %", ("regimes/half, mix 5 %",), lambda one: one.in_time, 0.95),
    _Asked(
        "sizes 1,000 and 200: found before a fifth of the extraction",
        ("sizes/half, 1,000 accounts", "sizes/half, 200 accounts"),
        lambda one: one.before_fifth,
        1.0,
    ),
    _Asked("heavy-tailed load: found", ("evasions/load heavy tailed",), lambda one: float(bool(one.found)), 1.0),
    _Asked("hydra: replacements with a bridge linked ≥ 90 %", ("evasions/hydra",), lambda one: one.heirs, 0.9),
)


def verdicts(told: Told) -> list[Verdict]:
    """In the order in which they are asked; the worst seed decides."""
    return [_nothing(told), *(_share(asked, told) for asked in _ASKED), _one_id(told), _four(told), _beaten(told)]


def _nothing(told: Told) -> Verdict:
    ran = told.get(("worlds/no campaign", STILLWATCH), [])
    false, touched = sum(one.false or 0 for one in ran), sum(one.touched for one in ran)
    measured = f"{false} false, {touched} touched among {sum(one.benign for one in ran):,}" if ran else "not run"
    asked = "no campaign, all hard negatives: 0 false campaigns, 0 benign tenants throttled or blocked"
    return Verdict(asked, measured, not false and not touched if ran else None)


def _share(asked: _Asked, told: Told) -> Verdict:
    each = [(asked.value(one), key) for key in asked.keys for one in told.get((key, STILLWATCH), ())]
    found = [(value, key) for value, key in each if value is not None]
    if not each:
        return Verdict(asked.asked, "not run", None)
    if not found:
        return Verdict(asked.asked, f"nothing to measure it by in {len(each)} streams", False)
    worst, key = min(found)
    mean = sum(value for value, _ in found) / len(found)
    measured = f"{mean:.1%}, worst {worst:.1%} ({key.partition('/')[2]}), {len(each)} streams"
    return Verdict(asked.asked, measured, worst >= asked.least)


def _one_id(told: Told) -> Verdict:
    """Every campaign found, under one id, and nobody benign blocked, wherever there is one campaign."""
    ran = [one for (_, name), ones in told.items() if name == STILLWATCH for one in ones if one.campaigns == 1]
    found, split = sum(one.found or 0 for one in ran), sum(one.fragmented or 0 for one in ran)
    blocked = sum(one.blocked for one in ran)
    measured = f"{found} of {len(ran)} found, {split} under several ids, {blocked} benign blocked" if ran else "not run"
    asked = "all rows: one campaign, one id; 0 benign blocked"
    return Verdict(asked, measured, found == len(ran) and not split and not blocked if ran else None)


def _four(told: Told) -> Verdict:
    ran = told.get(("worlds/four at once", STILLWATCH), [])
    found, of = sum(one.found or 0 for one in ran), sum(one.campaigns for one in ran)
    wrong = sum((one.merged or 0) + (one.fragmented or 0) for one in ran)
    measured = f"{found} of {of} found, {wrong} merged or fragmented" if ran else "not run"
    return Verdict(
        "four at once: four ids, none merged, none fragmented", measured, found == of and not wrong if ran else None
    )


def _beaten(told: Told) -> Verdict:
    """An exception is a rival that names more of a campaign than our members, at no more harm than our decisions."""
    exceptions = []
    compared = 0
    for (key, name), ones in told.items():
        own = told.get((key, STILLWATCH), [])
        if name != STILLWATCH and own and own[0].member and ones[0].named:
            compared += 1
            is_harmless = sum(one.touched for one in ones) <= sum(one.touched for one in own)
            if _mean(ones, lambda one: one.named) > _mean(own, lambda one: one.member) and is_harmless:
                exceptions.append(f"{name} in {key.partition('/')[2]}")
    asked = "every rival beaten on recall at equal or lower benign harm, or the exception named"
    if not compared:
        return Verdict(asked, "not run", None)
    return Verdict(asked, "; ".join(exceptions) or f"no exception in {compared} comparisons", not exceptions)


def _mean(ran: Sequence[Outcome], value: Callable[[Outcome], tuple[float, float | None] | None]) -> float:
    known = [found[0] for one in ran if (found := value(one))]
    return sum(known) / len(known) if known else 0.0


def asked_lines(told: Told) -> Iterator[str]:
    """As a table of Markdown."""
    yield "| Asked | Measured | |"
    yield "|---|---|---|"
    for verdict in verdicts(told):
        met = {True: "met", False: "**not met**", None: "cannot say"}[verdict.is_met]
        yield f"| {verdict.asked} | {verdict.measured} | {met} |"
