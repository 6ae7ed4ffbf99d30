"""Programs that run by the clock: an enterprise's nightly batch, continuous integration that tries again."""

from random import Random

import numpy as np

from stream_app.simulate.campaigns.accounts import HOUR_MS, MINUTE_MS, Ints
from stream_app.simulate.campaigns.arrivals import Arrivals, no_arrivals
from stream_app.simulate.campaigns.drafts import Draft, ExtraLoad
from stream_app.simulate.campaigns.hard_negatives.sizes import instances, newcomers, one_value
from stream_app.simulate.campaigns.prompts import Prompt, Source
from stream_app.simulate.campaigns.wrappers import APPLICATIONS, drawn_wrapper

#: Items of one night's batch.
BATCH_ITEMS = (400, 2_500)


def enterprise_batch(draft: Draft) -> None:
    """One tenant, many service accounts: every night a queue of distinct documents under one wrapper."""
    for _ in range(instances(draft, 0.3)):
        accounts = newcomers(draft, "enterprise_batch", int(draft.rng.integers(4, 40)))
        count, rng = len(accounts), draft.rng
        accounts.tenant[:] = 0
        for column in (accounts.payment, accounts.signup, accounts.client):
            column[:] = column[0]
        accounts.plan[:] = 3
        accounts.created_ms[:] = accounts.created_ms.min()
        accounts.begin_ms[:] = accounts.created_ms
        accounts.networks[:] = accounts.networks[0]
        accounts.freshness[:] = 0.97
        accounts.source[:] = draft.add_source(_documents(draft))
        first_row = draft.add(accounts)
        items = int(rng.integers(*BATCH_ITEMS))
        draft.loads.append(
            _nightly(np.arange(count) + first_row, float(rng.integers(24)), items, int(rng.integers(2, 6)))
        )


def ci_retries(draft: Draft) -> None:
    """Test suites that send the same few prompts on every run, at fixed minutes, and again when they fail."""
    accounts = newcomers(draft, "ci_retries", instances(draft, 25))
    count, rng = len(accounts), draft.rng
    accounts.freshness = rng.uniform(0.0, 0.02, count)
    accounts.error_share = rng.uniform(0.02, 0.2, count)
    accounts.rate = np.minimum(accounts.rate, 3.0)
    first_row = draft.add(accounts)
    every_min = rng.choice([60, 120, 180, 360], count)
    draft.loads.append(
        _cron(np.arange(count) + first_row, every_min, rng.integers(60, size=count), rng.integers(1, 5, count))
    )


def _documents(draft: Draft) -> Source:
    rng = Random(one_value(draft))
    wrapper = drawn_wrapper(APPLICATIONS, rng)

    def source(_account: int, _time_ms: float, rng: Random) -> Prompt:
        return Prompt(wrapper.filled(draft.materials.asked(rng)[0], rng), wrapper.system, wrapper.tools)

    return source


def _nightly(rows: Ints, from_hour: float, items: int, hours: int) -> ExtraLoad:
    def load(hour_ms: float, rng: np.random.Generator) -> Arrivals:
        if (hour_ms // HOUR_MS - from_hour) % 24 >= hours:
            return no_arrivals()
        count = rng.poisson(items / hours)
        return _single(rng.choice(rows, count), hour_ms + rng.random(count) * HOUR_MS)

    return load


def _cron(rows: Ints, every_min: Ints, minute: Ints, size: Ints) -> ExtraLoad:
    def load(hour_ms: float, rng: np.random.Generator) -> Arrivals:
        is_due = hour_ms // MINUTE_MS % every_min == 0
        who = np.repeat(np.flatnonzero(is_due), size[is_due])
        times = hour_ms + minute[who] * MINUTE_MS + rng.exponential(20_000, len(who))
        return _single(rows[who], times)

    return load


def _single(rows: Ints, times: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Arrivals:
    """Requests of one session per account and hour."""
    sessions = (times // HOUR_MS * HOUR_MS).astype(np.int64)
    return Arrivals(rows, times, sessions, np.full(len(rows), -1))
