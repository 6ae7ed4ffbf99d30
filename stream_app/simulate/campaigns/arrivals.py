"""When requests arrive: sessions on hourly rhythms, by the hour, so that memory does not grow with the span."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from stream_app.simulate.campaigns.accounts import HOUR_MS, Accounts, Bools, Floats, Ints
from stream_app.simulate.campaigns.rhythms import SERIES_HOURS

#: Think time inside a session: lognormal, median 15 s, mean 27 s.
THINK_MEDIAN_MS = 15_000.0
THINK_SIGMA = 1.1

#: A session is at most this long in requests; the mean is the account's.
MAX_SESSION = 200

#: Sessions begin this long before the stream, so that its first hour is as busy as the others.
LEAD_HOURS = 2


@dataclass
class Arrivals:
    """Requests as columns: who, when, in which session; ``campaign`` is -1 for an account's own requests."""

    account: Ints
    time_ms: Floats
    session: Ints
    campaign: Ints

    def __len__(self) -> int:
        return len(self.account)

    def where(self, chosen: Bools | Ints) -> "Arrivals":
        return Arrivals(*(getattr(self, column.name)[chosen] for column in fields(self)))


def all_of(parts: list[Arrivals]) -> Arrivals:
    return Arrivals(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Arrivals)))


def no_arrivals() -> Arrivals:
    whole = np.zeros(0, dtype=np.int64)
    return Arrivals(whole, np.zeros(0), whole, whole)


def hours_of(begin_ms: float, end_ms: float) -> Iterator[float]:
    """Starts of the stream's hours, from the lead on."""
    hour_ms = begin_ms // HOUR_MS * HOUR_MS - LEAD_HOURS * HOUR_MS
    while hour_ms < end_ms:
        yield hour_ms
        hour_ms += HOUR_MS


def own_sessions(
    accounts: Accounts, rate: Floats, rhythms: Floats, hour_ms: float, rng: np.random.Generator
) -> Arrivals:
    """Requests of the sessions that begin in this hour; some of them lie in later hours.

    ``rate`` is in requests per day and account, before the rhythm. Costs a Poisson draw per account.
    """
    hour = int(hour_ms // HOUR_MS)
    load = rhythms[accounts.rhythm, (hour + accounts.shift_h) % SERIES_HOURS]
    is_active = (accounts.begin_ms < hour_ms + HOUR_MS) & (accounts.until_ms > hour_ms)
    counts = rng.poisson(np.where(is_active, rate * load / (24 * accounts.session_size), 0.0))
    account = np.repeat(np.arange(len(accounts)), counts)
    starts = hour_ms + rng.random(len(account)) * HOUR_MS
    sizes = np.minimum(rng.geometric(1 / accounts.session_size[account]), MAX_SESSION)
    return sessions_from(account, starts, sizes, rng)


def sessions_from(account: Ints, starts: Floats, sizes: Ints, rng: np.random.Generator) -> Arrivals:
    """Sessions of so many requests each, with think times between them."""
    pauses = rng.lognormal(np.log(THINK_MEDIAN_MS), THINK_SIGMA, int(sizes.sum()))
    elapsed = pauses.cumsum()
    firsts = sizes.cumsum() - sizes
    times = np.repeat(starts - elapsed[firsts], sizes) + elapsed if len(sizes) else np.zeros(0)
    return Arrivals(
        np.repeat(account, sizes),
        times,
        np.repeat(starts.astype(np.int64), sizes),
        np.full(len(times), -1, dtype=np.int64),
    )
