"""A stream in the making: groups add accounts, prompt sources and loads to it, or change some of the population."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct

from stream_app.simulate.campaigns.accounts import Accounts, Setting, joined
from stream_app.simulate.campaigns.arrivals import Arrivals
from stream_app.simulate.campaigns.evasions import replace_banned, rotations
from stream_app.simulate.campaigns.links import Change
from stream_app.simulate.campaigns.materials import Materials
from stream_app.simulate.campaigns.members import Campaign, Members, drawn_members
from stream_app.simulate.campaigns.operations import Operation
from stream_app.simulate.campaigns.prompts import Source, applications, people

#: Start of the hour to that hour's further requests, rows being those of the whole stream.
ExtraLoad = Callable[[float, np.random.Generator], Arrivals]


class Interruption(Struct, frozen=True):
    """The provider is down: requests fail, and all come back at once when it ends."""

    begin_ms: float
    end_ms: float


@dataclass
class Draft:
    """``population`` is the first table, so its rows are the stream's first; ``rng`` draws what groups look like."""

    setting: Setting
    materials: Materials
    population: Accounts
    rng: np.random.Generator
    tables: list[Accounts] = field(default_factory=list)
    sources: list[Source | None] = field(default_factory=lambda: [None, None])
    loads: list[ExtraLoad] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    allowed: list[int] = field(default_factory=list)

    def add(self, accounts: Accounts) -> int:
        """Append a group's accounts; gives its first row."""
        first_row = len(self.population) + sum(len(table) for table in self.tables)
        self.tables.append(accounts)
        return first_row

    def add_source(self, source: Source) -> int:
        """The number that accounts name in their column ``source``."""
        self.sources.append(source)
        return len(self.sources) - 1

    def add_campaign(self, campaign: Campaign) -> Members:
        """Draw the campaign's accounts and let it work."""
        members = drawn_members(self.setting, campaign, self.rng)
        if campaign.banned_share:
            members = replace_banned(members, campaign.banned_share, self.setting, self.rng)
        number = len(self.operations)
        members.accounts.campaign[:] = number
        first_row = self.add(members.accounts)
        if campaign.is_rotating:
            self.changes += rotations(members, first_row, self.setting, self.rng)
        self.operations.append(Operation(campaign, members, number, first_row, self.rng))
        return members

    def finished(self) -> Accounts:
        """All accounts as one table, and the ordinary sources in their places."""
        accounts = joined([self.population, *self.tables])
        self.sources[:2] = [people(self.materials), applications(self.materials, accounts.wrapper.tolist())]
        return accounts


#: Adds accounts, or changes what is there.
Group = Callable[[Draft], None]
