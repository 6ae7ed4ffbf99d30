"""People who come together: a university class, a hackathon, a flash crowd."""

from random import Random

import numpy as np

from stream_app.simulate.campaigns.accounts import DAY_MS, HOUR_MS, MINUTE_MS, Floats
from stream_app.simulate.campaigns.arrivals import Arrivals, no_arrivals, sessions_from
from stream_app.simulate.campaigns.attributes import networks_of
from stream_app.simulate.campaigns.drafts import Draft, ExtraLoad
from stream_app.simulate.campaigns.hard_negatives.sizes import drawn_size, instances, newcomers, one_value, within
from stream_app.simulate.campaigns.phrases import detail, passage
from stream_app.simulate.campaigns.prompts import Prompt, Source

#: Share of students who send the assignment as it stands, without words of their own.
VERBATIM_SHARE = 0.5


def university_class(draft: Draft) -> None:
    """Students sign up in one lecture and work on the same assignments, from the campus, in lessons and before them."""
    for _ in range(instances(draft, 0.6)):
        accounts = newcomers(draft, "university_class", drawn_size(draft, 40, 300))
        count, rng = len(accounts), draft.rng
        lecture_ms = within(draft, -0.5, 0.5)
        accounts.created_ms = lecture_ms + rng.beta(2, 4, count) * 2 * HOUR_MS
        accounts.begin_ms = accounts.created_ms + 2 * MINUTE_MS
        accounts.networks[:, :2] = rng.choice(networks_of(rng, 3), (count, 2))
        accounts.network_count = np.maximum(accounts.network_count, 2)
        accounts.rate = np.minimum(accounts.rate, 6.0)
        accounts.plan[:] = 0
        accounts.payment[:] = one_value(draft) if rng.random() < 0.3 else 0
        accounts.source[:] = draft.add_source(_assignments(draft))
        first_row = draft.add(accounts)
        lessons: Floats = lecture_ms + np.arange(12.0) * 2.5 * DAY_MS
        draft.loads.append(_lessons(first_row, count, lessons))


def hackathon(draft: Draft) -> None:
    """A weekend: sign-ups within hours, one venue, a sponsor's credits, everybody builds and nobody sleeps."""
    for _ in range(instances(draft, 0.4)):
        accounts = newcomers(draft, "hackathon", drawn_size(draft, 30, 200))
        count, rng = len(accounts), draft.rng
        opening_ms = within(draft, 0.1, 0.7)
        accounts.created_ms = opening_ms + rng.gamma(2.0, 1.5 * HOUR_MS, count)
        accounts.begin_ms = accounts.created_ms + rng.exponential(0.5 * HOUR_MS, count)
        accounts.until_ms = opening_ms + rng.uniform(1.3, 2.5, count) * DAY_MS
        accounts.rate = rng.lognormal(np.log(45), 0.8, count)
        accounts.networks[:, 0] = rng.choice(networks_of(rng, 2), count)
        accounts.network_count[:] = 1 + (rng.random(count) < 0.3)
        if rng.random() < 0.6:
            accounts.payment[:] = one_value(draft)
        draft.add(accounts)


def flash_crowd(draft: Draft) -> None:
    """The service is in the news: strangers sign up within hours, try it on much the same questions, and most leave."""
    accounts = newcomers(draft, "flash_crowd", max(10, round(0.015 * len(draft.population))))
    count, rng = len(accounts), draft.rng
    accounts.created_ms = within(draft, 0.15, 0.75) + rng.gamma(1.5, 2.5 * HOUR_MS, count)
    accounts.created_ms = np.minimum(accounts.created_ms, draft.setting.end_ms - HOUR_MS)
    accounts.begin_ms = accounts.created_ms + MINUTE_MS
    accounts.until_ms = accounts.begin_ms + 3 * HOUR_MS + rng.exponential(1.5 * DAY_MS, count)
    accounts.rate = rng.lognormal(np.log(5), 1.0, count)
    is_free = rng.random(count) < 0.8
    accounts.plan[is_free], accounts.payment[is_free] = 0, 0
    accounts.source[:] = draft.add_source(_much_the_same(draft))
    draft.add(accounts)


def _assignments(draft: Draft) -> Source:
    rng = Random(one_value(draft))
    assignments = [f"{draft.materials.asked(rng)[0]}\n{passage(rng, 2)}" for _ in range(rng.randint(6, 20))]

    def source(_account: int, _time_ms: float, rng: Random) -> Prompt:
        text = rng.choice(assignments)
        is_verbatim = rng.random() < VERBATIM_SHARE
        return Prompt(text if is_verbatim else f"{text} {detail(rng)}", is_common=is_verbatim)

    return source


def _much_the_same(draft: Draft) -> Source:
    rng = Random(one_value(draft))
    questions = [draft.materials.asked(rng)[0] for _ in range(25)]

    def source(_account: int, _time_ms: float, rng: Random) -> Prompt:
        if rng.random() < 0.4:
            return Prompt(rng.choice(questions), is_common=True)
        text, is_common = draft.materials.asked(rng)
        return Prompt(text, is_common=is_common)

    return source


def _lessons(first_row: int, count: int, lessons: Floats) -> ExtraLoad:
    """In the hour of a lesson most students work for a while."""

    def load(hour_ms: float, rng: np.random.Generator) -> Arrivals:
        if not ((lessons >= hour_ms) & (lessons < hour_ms + HOUR_MS)).any():
            return no_arrivals()
        present = np.flatnonzero(rng.random(count) < 0.7)
        starts = hour_ms + rng.uniform(0, HOUR_MS, len(present))
        return sessions_from(present + first_row, starts, rng.geometric(0.25, len(present)), rng)

    return load
