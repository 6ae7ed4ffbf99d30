"""Prompts that strangers share: a viral prompt, a tutorial, public test sets, a popular coding agent."""

from collections.abc import Callable
from random import Random

import numpy as np

from stream_app.simulate.campaigns.accounts import APPLICATION, DAY_MS, HOUR_MS, PEOPLE, Ints
from stream_app.simulate.campaigns.arrivals import Arrivals, sessions_from
from stream_app.simulate.campaigns.drafts import Draft, ExtraLoad
from stream_app.simulate.campaigns.hard_negatives.sizes import (
    instances,
    newcomers,
    one_value,
    rare_client,
    some_of,
    within,
)
from stream_app.simulate.campaigns.prompts import Prompt, Source
from stream_app.simulate.campaigns.wrappers import APPLICATIONS, FAMILIES, Wrapper, drawn_wrapper

#: System prompt and tools of an agent that thousands run; what they ask it is their own.
AGENT_SYSTEM = (
    "You are a coding agent. Read the files you need, change as little as you can, run the tests, say what you did."
)
AGENT_TOOLS = ("read_file", "edit_file", "list_files", "search", "run_command", "run_tests", "git_diff", "ask_user")


def viral_prompt(draft: Draft) -> None:
    """A prompt makes the round for two days: the same words around everybody's own material."""
    rng = Random(one_value(draft))
    begin_ms = within(draft, 0.1, 0.7)
    wrapper = drawn_wrapper(rng.choice([APPLICATIONS, FAMILIES["rewriting"], FAMILIES["cot_elicitation"]]), rng)
    end_ms = begin_ms + draft.rng.uniform(0.7, 3.0) * DAY_MS
    _lend(draft, some_of(draft, "viral_prompt", 0.03), _now_and_then(draft, wrapper, begin_ms, end_ms, 0.3))


def tutorial(draft: Draft) -> None:
    """A notebook on synthetic data: each reader makes a few dozen examples under its wrapper in one evening."""
    for _ in range(instances(draft, 0.3)):
        rng = Random(one_value(draft))
        wrapper = drawn_wrapper(FAMILIES[rng.choice(sorted(FAMILIES))], rng)
        rows = some_of(draft, "tutorial", 0.002)
        evenings = within(draft, 0.0, 0.9) + draft.rng.exponential(2 * DAY_MS, len(rows))
        _lend(draft, rows, _now_and_then(draft, wrapper, draft.setting.begin_ms, draft.setting.end_ms, 0.6))
        draft.loads.append(_evening(rows, evenings))


def evaluation_harness(draft: Draft) -> None:
    """Researchers run public test sets: the same prompts in the same wrapper in every tenant, hundreds at a time."""
    client = rare_client(draft)
    sources = [draft.add_source(_test_set(draft, texts)) for texts in draft.materials.public_sets]
    accounts = newcomers(draft, "evaluation_harness", instances(draft, 15))
    count, rng = len(accounts), draft.rng
    accounts.source = rng.choice(sources, count)
    accounts.freshness[:] = 1.0
    accounts.rate = np.minimum(accounts.rate, 5.0)
    accounts.client = np.where(rng.random(count) < 0.6, client, accounts.client)
    first_row = draft.add(accounts)
    runs = draft.setting.begin_ms + rng.random(count) * draft.setting.span_ms
    draft.loads.append(_evening(np.arange(count) + first_row, runs, mean_requests=150))


def popular_agent(draft: Draft) -> None:
    """One coding agent's system prompt and tools, in a few versions, on thousands of desks."""
    rows = some_of(draft, "popular_agent", 0.05)
    population, rng = draft.population, draft.rng
    agents = [place for place, name in enumerate(draft.setting.clients.user_agents) if name.startswith("agentcli/")]
    population.client[rows] = rng.choice(agents, len(rows))
    population.tools[rows] = len(AGENT_TOOLS)
    population.session_size[rows] *= 2
    wrapper = Wrapper("", "", AGENT_SYSTEM, AGENT_TOOLS)
    _lend(draft, rows, _now_and_then(draft, wrapper, draft.setting.begin_ms, draft.setting.end_ms, 0.9))


Lent = Callable[[Source], Source]


def _lend(draft: Draft, rows: Ints, lent: Lent) -> None:
    """Rows go on as people or programs, except where the lent source speaks."""
    sources = draft.population.source
    for ordinary in (PEOPLE, APPLICATION):
        number = draft.add_source(lent(_ordinary(draft, ordinary)))
        sources[rows[sources[rows] == ordinary]] = number


def _ordinary(draft: Draft, number: int) -> Source:
    """The ordinary source, which exists only once the stream is drafted."""

    def source(account: int, time_ms: float, rng: Random) -> Prompt:
        ordinary = draft.sources[number]
        assert ordinary is not None  # noqa: S101
        return ordinary(account, time_ms, rng)

    return source


def _now_and_then(draft: Draft, wrapper: Wrapper, begin_ms: float, end_ms: float, share: float) -> Lent:
    def lent(ordinary: Source) -> Source:
        def source(account: int, time_ms: float, rng: Random) -> Prompt:
            if begin_ms <= time_ms < end_ms and rng.random() < share:
                text = wrapper.filled(draft.materials.asked(rng)[0], rng)
                return Prompt(text, wrapper.system, wrapper.tools)
            return ordinary(account, time_ms, rng)

        return source

    return lent


def _test_set(draft: Draft, texts: list[str]) -> Source:
    """Each run goes through the set from a place of its own."""
    rng = Random(one_value(draft))
    wrapper = drawn_wrapper(FAMILIES["cot_elicitation"] if rng.random() < 0.5 else APPLICATIONS, rng)
    places: dict[int, int] = {}

    def source(account: int, _time_ms: float, rng: Random) -> Prompt:
        place = places[account] = (places[account] + 1 if account in places else rng.randrange(len(texts))) % len(texts)
        text = wrapper.filled(texts[place], Random(place))
        return Prompt(text, wrapper.system, wrapper.tools, is_common=True)

    return source


def _evening(
    rows: Ints, starts_ms: "np.ndarray[tuple[int], np.dtype[np.float64]]", mean_requests: int = 25
) -> ExtraLoad:
    """Each row has one long session."""

    def load(hour_ms: float, rng: np.random.Generator) -> Arrivals:
        chosen = np.flatnonzero((starts_ms >= hour_ms) & (starts_ms < hour_ms + HOUR_MS))
        sizes = rng.geometric(1 / mean_requests, len(chosen))
        return sessions_from(rows[chosen], starts_ms[chosen], sizes, rng)

    return load
