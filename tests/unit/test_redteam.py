"""The adversary in the loop: the search itself, and that the cheapest ways to be seen cost what they did."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import pytest

from benchmarks.redteam import LONG, SHORT, SHORT_ATTACKS, SHORT_CENTS, Attack, Result, page, play, search


@dataclass
class Played:
    """A detector that sees whoever shares the card, or does nothing but extract."""

    attacks: list[Attack] = field(default_factory=list)

    def __call__(self, attack: Attack) -> Result:
        self.attacks.append(attack)
        is_seen = "payment" not in attack.own or attack.mix > 0.5
        return Result(attack, 40, 10.0, 400, 0 if is_seen else 400, int(is_seen), 1, 100.0 * (1 + len(attack.own)))


def test_the_search_finds_the_cheapest_and_tries_nothing_twice() -> None:
    played = Played()
    tried = search(60, played)
    assert len(set(played.attacks)) == len(tried) == len(played.attacks) <= 60
    best = min(tried, key=lambda result: result.cents_each)
    assert best.attack.own == ("payment",)
    assert search(60, Played()) == tried


def test_the_search_keeps_to_its_budget() -> None:
    assert len(search(5, Played())) == 5


def test_the_page_tells_the_cheapest_first_and_the_laziest_too() -> None:
    text = page(search(60, Played()), LONG, "abc")
    assert "Cost to evade: 0.50 cents" in text
    assert "the laziest attack pays never unseen" in text


def test_nothing_unseen_costs_without_end() -> None:
    assert Played()(Attack()).cents_each == inf


def test_evasion_is_not_cheaper_than_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STILLWATCH_SHARED_DATA", str(tmp_path))  # made-up prompts: the same figure everywhere
    assert min(play(attack, SHORT).cents_each for attack in SHORT_ATTACKS) >= SHORT_CENTS
