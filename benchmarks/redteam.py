"""An adversary in the loop: ``python -m benchmarks.redteam [--budget N] [--short] [--out FOLDER]``.

Turns the knobs of a campaign one after the other, by what an unseen example costs the attacker, and reports the
cheapest way found. An attack is a stream of DistillBench, judged by the whole product under the default policy; what it
took before the first verdict that finds it, counts. The budget is in attacks tried; each takes some ten seconds a seed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from math import ceil, inf
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.campaigns.__main__ import OUT, core_commit
from benchmarks.campaigns.judging import judge
from benchmarks.campaigns.plans import END
from benchmarks.quality.__main__ import enforced_policy
from stream_app.evaluation import Label, Scenario, evaluate
from stream_app.simulate.campaigns.links import LINKS
from stream_app.simulate.campaigns.loads import LOADS
from stream_app.simulate.campaigns.members import Campaign
from stream_app.simulate.campaigns.scenarios import TENANTS_AT_SCALE_1, world

MILLION = 1_000_000
#: A campaign works about this share of a stream: it begins after a fifth to a third, and takes hours to get going.
WORKING_SHARE = 0.65
#: Fewer than twenty accounts that share nothing with others are no campaign to find, whatever the detector; many such
#: cells are dearer in cards and addresses than one.
MIN_ACCOUNTS = 40

#: Prices in US cents, guesses in the middle of what is asked in public for such things; ratios matter, not the unit.
ACCOUNT_CENTS = 50.0
REQUEST_CENTS = 0.2
#: What it costs per account not to share a link: a card of its own, a phone or browser of its own, months of waiting, a
#: home address, a client of its own.
OWN_CENTS = {"payment": 100.0, "signup": 20.0, "burst": 10.0, "network": 60.0, "client": 10.0}
#: New cards and addresses every day or so for half of those who share them.
ROTATION_CENTS = 40.0
PARAPHRASE_CENTS = 0.1
#: Wrappers of its own for each card, as a share of each of its accounts.
CELL_CENTS = 2.0


class Attack(Struct, frozen=True):
    """The attacker's knobs: dilution (``mix``), requests a day and account, timing, links not shared, and so on.

    With ``has_cells`` accounts of one card have wrappers of their own: they look like one of several customers.
    """

    mix: float = 1.0
    rate: float = 15.0
    load: str = "round_robin"
    own: tuple[str, ...] = ()
    is_rotating: bool = False
    paraphrase: float = 0.0
    has_cells: bool = False


class Result(Struct, frozen=True):
    """What an attack cost and took, summed over seeds; ``seen`` counts those in which a verdict found it."""

    attack: Attack
    accounts: int
    requests: float
    taken: int
    unseen: int
    seen: int
    streams: int
    cents: float

    @property
    def cents_each(self) -> float:
        """Cost of an example that was taken unseen."""
        return self.cents / self.unseen if self.unseen else inf


class Field(Struct, frozen=True):
    """Where attacks are played: how many tenants and days, on which seeds, after how many examples an attacker is."""

    tenants: int
    days: float
    seeds: tuple[int, ...]
    examples: int


#: An example and a half per tenant in two and a half days. Seeds of their own: the attacker's.
LONG = Field(600, 2.5, (3301, 3302), 900)
#: Attacks that are seen at all in the smallest field in which any is, for a test: what they cost must not fall.
SHORT = Field(250, 1.5, (3301,), 400)
SHORT_ATTACKS = (Attack(), Attack(load="heavy_tailed", is_rotating=True))
#: Cents an example of the cheaper one; raise it with the detector (unseen it would be 3).
SHORT_CENTS = 22.0

CHOICES: dict[str, tuple[Any, ...]] = {
    "mix": (0.05, 0.1, 0.3, 1.0),
    "rate": (5.0, 15.0, 40.0),
    "load": LOADS,
    "is_rotating": (False, True),
    "paraphrase": (0.0, 0.5, 1.0),
    "has_cells": (False, True),
}


def neighbours(attack: Attack, rng: Random) -> Iterator[Attack]:
    """Every attack that differs in one knob, in random order."""
    found = [replace(attack, **{name: value}) for name, values in CHOICES.items() for value in values]
    for link in LINKS:
        found.append(replace(attack, own=tuple(one for one in LINKS if (one in attack.own) != (one == link))))
    found = [other for other in dict.fromkeys(found) if other != attack]
    rng.shuffle(found)
    yield from found


def search(budget: int, played: Callable[[Attack], Result], seed: int = 1) -> list[Result]:
    """Coordinate search from the laziest attack, and from the costliest disguise; all that was tried, in order."""
    rng = Random(seed)
    tried: dict[Attack, Result] = {}
    starts = (Attack(), Attack(mix=0.1, load="natural", own=LINKS))
    for number, start in enumerate(starts, 1):
        until = budget * number // len(starts)
        best = tried.setdefault(start, played(start))
        is_better = True
        while is_better and len(tried) < until:
            is_better = False
            for other in neighbours(best.attack, rng):
                if other in tried:
                    continue
                if len(tried) >= until:
                    break
                tried[other] = played(other)
                if tried[other].cents_each < best.cents_each:
                    best, is_better = tried[other], True
                    break
    return list(tried.values())


def play(attack: Attack, field: Field) -> Result:
    """One attack on every seed."""
    accounts = max(MIN_ACCOUNTS, ceil(field.examples / (attack.rate * attack.mix * field.days * WORKING_SHARE)))
    taken = unseen = seen = 0
    for seed in field.seeds:
        one = _played(attack, field, seed, accounts)
        taken, unseen, seen = taken + one[0], unseen + one[1], seen + one[2]
    streams = len(field.seeds)
    requests = attack.rate * field.days * WORKING_SHARE
    cents = streams * _cents(attack, accounts, requests * accounts)
    return Result(attack, accounts, requests, taken, unseen, seen, streams, cents)


def _played(attack: Attack, field: Field, seed: int, accounts: int) -> tuple[int, int, bool]:
    """Examples taken in all, and before a verdict found the campaign; and whether one did."""
    campaign = Campaign(
        "campaign-1",
        "cot_elicitation",
        accounts,
        regime="all",
        without=attack.own,
        mix=attack.mix,
        load=attack.load,
        rate=attack.rate,
        is_rotating=attack.is_rotating,
        paraphrase=attack.paraphrase,
        has_cells=attack.has_cells,
    )
    scale = field.tenants / TENANTS_AT_SCALE_1
    stream = world("redteam", seed, scale, END, campaigns=(campaign,), days=field.days)
    judged = judge(stream, enforced_policy(), alone=False)
    scenario = msgspec.convert(stream.scenario(), Scenario)
    labels = (msgspec.convert(label, Label) for label in stream.labels())
    score = evaluate(labels, scenario, judged.reports, ()).per_campaign[0]
    first = scenario.campaigns[0].first_extraction_time
    if score.delay_s is None or first is None:
        taken = stream.truth.taken_by(inf)
        return taken, taken, False
    return stream.truth.taken_by(inf), stream.truth.taken_by((first.timestamp() + score.delay_s) * 1_000), True


def _cents(attack: Attack, accounts: int, requests: float) -> float:
    each = ACCOUNT_CENTS + sum(OWN_CENTS[link] for link in attack.own)
    if attack.is_rotating:
        each += ROTATION_CENTS
    if attack.has_cells:
        each += CELL_CENTS
    return accounts * each + requests * (REQUEST_CENTS + attack.mix * attack.paraphrase * PARAPHRASE_CENTS)


def page(tried: list[Result], field: Field, commit: str) -> str:
    """The cheapest attacks as Markdown, and what a million examples cost by each."""
    lazy, ranked = tried[0], sorted(tried, key=lambda result: result.cents_each)
    seen = sum(result.seen > 0 for result in tried)
    rows = [
        "| Mix | Requests a day | Timing | Own | Rotation | Paraphrased | Cells | Seen | Unseen examples | Cents each "
        "| A million: accounts | Requests an account | Dollars |",
        "|--:|--:|---|---|---|--:|---|---|--:|--:|--:|--:|--:|",
        *(_row(result) for result in ranked[:15]),
        *([] if lazy in ranked[:15] else [_row(lazy)]),
    ]
    return "\n".join(
        [
            "# The adversary in the loop",
            "",
            f"{len(tried)} attacks tried by coordinate search, {seen} of them found by a verdict on at least one seed. "
            f"Each runs for {field.days:g} days among {field.tenants:,} ordinary tenants and all hard negatives, seeds "
            f"{', '.join(map(str, field.seeds))}, with as many accounts as {field.examples:,} examples take (at least "
            f"{MIN_ACCOUNTS}); the whole product, default policy, detection core of commit {commit}. *Unseen* is what "
            "was taken before the first verdict of any kind that finds the campaign. *Own*: links that no two accounts "
            "share. *Cells*: accounts of one card have wrappers of their own. Prices are guesses written in the code; "
            "their ratios decide. A million examples are many such "
            "operations, each unknown to the others: what the detector would make of their sum is not told.",
            "",
            f"**Cost to evade: {ranked[0].cents_each:.2f} cents an example**; the laziest attack pays "
            f"{_cents_told(lazy)}, and one that nobody watches {_floor(field):.2f}.",
            "",
            *rows,
            "",
            "Again: `python -m benchmarks.redteam`.",
            "",
        ]
    )


def _row(result: Result) -> str:
    attack, times = result.attack, MILLION / max(result.unseen, 1)
    cells = [
        f"{attack.mix:.0%}",
        f"{attack.rate:g}",
        attack.load.replace("_", " "),
        "all" if set(attack.own) == set(LINKS) else ", ".join(attack.own) or "none",
        "yes" if attack.is_rotating else "no",
        f"{attack.paraphrase:.0%}",
        "yes" if attack.has_cells else "no",
        f"{result.seen} of {result.streams}",
        f"{result.unseen:,} of {result.taken:,}",
        _cents_told(result),
        f"{result.accounts * result.streams * times:,.0f}" if result.unseen else "-",
        f"{result.requests:,.0f}",
        f"{result.cents * times / 100:,.0f}" if result.unseen else "-",
    ]
    return f"| {' | '.join(cells)} |"


def _cents_told(result: Result) -> str:
    return f"{result.cents_each:.2f}" if result.unseen else "never unseen"


def _floor(field: Field) -> float:
    """Cents an example of the cheapest attack of all, were there no detector."""
    attack = Attack(rate=max(CHOICES["rate"]))
    requests = MIN_ACCOUNTS * attack.rate * field.days * WORKING_SHARE
    return _cents(attack, MIN_ACCOUNTS, requests) / requests


def main() -> int:
    """Search and write redteam.md; exit status 2: bad arguments, 130: broken off, with a page of what was tried."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redteam", description="What it costs to evade.")
    parser.add_argument("--budget", type=int, default=30, metavar="N", help="attacks tried (default: 30)")
    parser.add_argument("--short", action="store_true", help="the smallest field, a tenth of the time")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"default: {OUT}")
    args = parser.parse_args()
    if args.budget < 2:
        parser.error("--budget must be at least 2")
    field = SHORT if args.short else LONG
    tried: list[Result] = []
    status = 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with Progress(*columns, console=Console(stderr=True), refresh_per_second=1) as bars:
            task = bars.add_task("attacks", total=args.budget)

            def played(attack: Attack) -> Result:
                result = play(attack, field)
                tried.append(result)
                bars.update(task, advance=1, description=f"{_cents_told(result)} cents")
                return result

            search(args.budget, played)
    except KeyboardInterrupt:
        status = 130
    if not tried:
        return status
    told = page(tried, field, core_commit())
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "redteam.md").write_text(told, encoding="utf-8")
    Console(soft_wrap=True, markup=False, highlight=False).print(told)
    return status


if __name__ == "__main__":
    sys.exit(main())
