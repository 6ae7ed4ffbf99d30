"""How a campaign goes on under pressure: replacements for banned accounts, new cards and addresses as days pass."""

from dataclasses import replace

import numpy as np

from stream_app.simulate.campaigns.accounts import DAY_MS, HOUR_MS, MINUTE_MS, Ints, Setting, joined, ordinary_accounts
from stream_app.simulate.campaigns.links import Change, linked_cards, pooled_networks
from stream_app.simulate.campaigns.members import Members, Wave

#: How likely an heir inherits each: the operator keeps its client and its unfinished work more easily than addresses.
BRIDGES = {"client": 0.6, "network": 0.4, "items": 0.5}

#: Replacements sign up within hours of the ban, and start as soon as they can.
SIGNUP_H = 6.0


def replace_banned(members: Members, share: float, setting: Setting, rng: np.random.Generator) -> Members:
    """Ban a share of the accounts half-way and add an heir for each; heirs inherit at random what ``BRIDGES`` names.

    An account that did not carry a link has none to leave. Heirs without a bridge are strangers until their prompts
    tell.
    """
    ban_ms = members.starts_ms + float(rng.uniform(0.35, 0.55)) * (setting.end_ms - members.starts_ms)
    count = len(members.accounts)
    banned = rng.choice(count, size=round(share * count), replace=False)
    members.accounts.until_ms[banned] = ban_ms + rng.uniform(0, 10 * MINUTE_MS, len(banned))
    heirs = ordinary_accounts(setting, len(banned), rng, family=members.accounts.family[0])
    heirs.rate = members.accounts.rate[banned]
    heirs.created_ms = np.minimum(
        ban_ms + rng.exponential(SIGNUP_H * HOUR_MS / 2, len(banned)), setting.end_ms - HOUR_MS
    )
    heirs.begin_ms = heirs.created_ms + rng.exponential(0.5 * HOUR_MS, len(banned))
    inherited = {name: rng.random(len(banned)) < chance for name, chance in BRIDGES.items()}
    for name, link in (("client", "client"), ("network", "network")):
        carriers = np.flatnonzero(members.carried[link])
        inherited[name] &= len(carriers) > 0
        heirs_of = np.flatnonzero(inherited[name])
        if len(heirs_of):
            models = rng.choice(carriers, len(heirs_of))
            column = "client" if name == "client" else "networks"
            getattr(heirs, column)[heirs_of] = getattr(members.accounts, column)[models]
    bridges = {
        count + place: [name for name, flags in inherited.items() if flags[place]] for place in range(len(banned))
    }
    accounts = joined([members.accounts, heirs])
    joins_ms = np.concatenate([members.joins_ms, heirs.begin_ms])
    carried = {
        link: np.concatenate([flags, np.zeros(len(heirs), dtype=np.bool_)]) for link, flags in members.carried.items()
    }
    wave = Wave(ban_ms, len(banned), len(heirs))
    return replace(members, accounts=accounts, joins_ms=joins_ms, carried=carried, bridges=bridges, waves=[wave])


def rotations(members: Members, first_row: int, setting: Setting, rng: np.random.Generator) -> list[Change]:
    """Every day or so those who share cards get new ones, and those who share addresses another pool."""
    changes: list[Change] = []
    time_ms = members.starts_ms
    while time_ms < setting.end_ms:
        time_ms += float(rng.uniform(0.5, 1.5)) * DAY_MS
        payers = _some(members.carried["payment"], rng)
        cards = linked_cards(len(payers), members.habits, rng)
        changes.append(Change(time_ms, "payment", payers + first_row, cards))
        movers = _some(members.carried["network"], rng)
        pool = pooled_networks(len(movers), members.habits.accounts_per_network, rng)
        changes.append(Change(time_ms, "networks", movers + first_row, pool))
    return changes


def _some(flags: "np.ndarray[tuple[int], np.dtype[np.bool_]]", rng: np.random.Generator) -> Ints:
    """Half of those with the flag."""
    return np.flatnonzero(flags & (rng.random(len(flags)) < 0.5))
