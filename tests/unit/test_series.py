"""Series of prompts: edits of one thing count, repetition, templates and conversations do not."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from stream_app.detection.events import Event
from stream_app.detection.series import (
    BLOCK_MS,
    MAX_ACCOUNTS,
    MAX_PROMPTS,
    MIN_CHAIN,
    MIN_ELEVATED,
    MIN_RUN,
    WINDOW_MS,
    Series,
    SeriesCounts,
)
from stream_app.sketches import Key, sketch_prompt

KEY = Key("k", bytes(range(32)))
BEGIN_MS = 1_750_000_000_000 // BLOCK_MS * BLOCK_MS
STEP_MS = 2_000


def made_up_words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count)]


def request(text: str, account: str = "a", score: float = 0.0, **fields: object) -> Event:
    prompt = msgspec.structs.asdict(sketch_prompt(text, key=KEY))
    event = {
        "id": "x",
        "time": "2025-06-15T00:00:00Z",
        "tenant_id": "t",
        "account_id": account,
        "model": "m",
        "status_code": 200,
        "input_tokens": 1,
        "output_tokens": 1,
        "scores": {"jailbreak": score},
        "prompt": {name: value for name, value in prompt.items() if value is not msgspec.UNSET},
    }
    return msgspec.convert(event | fields, Event)


def observed(events: Iterable[Event], series: Series | None = None, begin_ms: int = BEGIN_MS) -> Series:
    series = series or Series()
    for place, event in enumerate(events):
        series.observe(event, begin_ms + place * STEP_MS)
    return series


def counts(events: Iterable[Event]) -> SeriesCounts:
    return observed(events).counts(BEGIN_MS + BLOCK_MS)


def suffix_search(tries: int, seed: int = 1) -> list[str]:
    """A goal with a suffix of which every try replaces a word."""
    rng = random.Random(seed)
    goal, suffix = made_up_words(rng, 15), made_up_words(rng, 25)
    texts = []
    for _ in range(tries):
        suffix[rng.randrange(25)] = made_up_words(rng, 1)[0]
        texts.append(" ".join(goal + suffix))
    return texts


def independent(count: int, seed: int = 2) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(made_up_words(rng, 40)) for _ in range(count)]


def test_a_search_for_a_suffix_is_a_series_from_its_third_edit() -> None:
    texts = suffix_search(60)
    assert counts(map(request, texts[:MIN_RUN])).edits == 0
    assert counts(map(request, texts[: MIN_RUN + 1])).edits == 1
    assert counts(map(request, texts)) == SeriesCounts(edits=60 - MIN_RUN)


def test_a_series_is_an_attack_only_with_a_score_or_refusals() -> None:
    texts = suffix_search(20)
    assert counts(request(text, score=0.9) for text in texts).attacks == 20 - MIN_RUN
    refused = counts(request(text, refused=True) for text in texts)
    assert refused == SeriesCounts(0, 20 - MIN_RUN, 19 - MIN_CHAIN, 20 - MIN_RUN)
    assert counts(request(text, score=0.79) for text in texts).attacks == 0


def test_different_jailbreaks_that_are_refused_are_attacks_once_they_persist() -> None:
    texts = independent(20)
    assert counts(request(text, score=0.9, refused=True) for text in texts).attacks == 20 - MIN_ELEVATED
    assert counts(request(text, score=0.9) for text in texts).attacks == 0
    assert counts(request(text, refused=True) for text in texts).attacks == 0
    every_half_hour = [request(text, score=0.9, refused=True) for text in texts]
    series = Series()
    for place, event in enumerate(every_half_hour):
        series.observe(event, BEGIN_MS + place * WINDOW_MS // 2)
    assert series.counts(BEGIN_MS + 10 * WINDOW_MS).attacks == 0


@pytest.mark.parametrize("fields", [{"finish_reason": "content_filter"}, {"error_type": "content_filter"}])
def test_a_refusal_is_known_by_any_of_its_names(fields: dict[str, Any]) -> None:
    texts = suffix_search(MIN_CHAIN + 2)
    *refused, last = texts
    assert counts([*(request(text, **fields) for text in refused), request(last)]).refused_retries == 1
    assert counts(map(request, texts)).refused_retries == 0


def test_an_attack_between_other_prompts_is_followed() -> None:
    attack, others = suffix_search(20), independent(40)
    mixed = [text for place, tried in enumerate(attack) for text in (tried, *others[2 * place : 2 * place + 2])]
    assert counts(map(request, mixed)).edits == 20 - MIN_RUN


def test_repetition_is_no_series() -> None:
    assert counts([request("are you there? answer with one word please")] * 300) == SeriesCounts()


def test_a_client_that_repeats_a_refused_prompt_three_times_is_nothing() -> None:
    refused = [request(text, refused=True) for text in independent(10) for _ in range(1 + MIN_CHAIN)]
    assert counts(refused) == SeriesCounts()


def test_retries_after_a_refusal_count_once_they_persist_but_are_no_edits() -> None:
    retried = [request(independent(1)[0], refused=True)] * 30
    assert counts(retried) == SeriesCounts(refused_retries=29 - MIN_CHAIN)


@pytest.mark.parametrize(("refused_of_ten", "least", "most"), [(2, 0, 0), (4, 0, 3), (9, 70, 100)])
def test_answers_in_between_end_a_chain_unless_they_are_few(refused_of_ten: int, least: int, most: int) -> None:
    rng = random.Random(6)
    events = [request(independent(1)[0], refused=rng.randrange(10) < refused_of_ten) for _ in range(100)]
    assert least <= counts(events).refused_retries <= most


def other_suffixes(count: int, seed: int = 8) -> list[str]:
    """One goal, and behind a colon a suffix of which every try replaces all words by others as long."""
    rng = random.Random(seed)
    goal = " ".join(made_up_words(rng, 100))
    return [f"{goal}: {' '.join(made_up_words(rng, 8))}" for _ in range(count)]


def test_a_goal_with_another_suffix_each_time_is_an_attack_where_score_and_refusal_agree() -> None:
    texts = other_suffixes(20)
    assert counts(request(text, score=0.9, refused=True) for text in texts) == SeriesCounts(
        elevated=20, attacks=20 - MIN_ELEVATED
    )
    assert counts(request(text, score=0.9) for text in texts).attacks == 0
    assert counts(request(text, refused=True) for text in texts) == SeriesCounts()


def test_of_unknown_length_other_material_may_be_a_conversation_that_grows() -> None:
    events = [request(text, score=0.9, refused=True) for text in other_suffixes(20)]
    bare = [
        msgspec.structs.replace(e, prompt=msgspec.structs.replace(e.prompt, chars=msgspec.UNSET))  # type: ignore[type-var]
        for e in events
    ]
    assert counts(bare) == SeriesCounts(elevated=1)


@pytest.mark.parametrize("template_words", [10, 40, 300])
def test_a_template_with_other_material_is_no_series(template_words: int) -> None:
    rng = random.Random(4)
    template = " ".join(made_up_words(rng, template_words))
    texts = [f"{template} {' '.join(made_up_words(rng, rng.randint(15, 60)))}" for _ in range(300)]
    assert counts(map(request, texts)).edits == 0


def test_a_conversation_sent_whole_is_neither_a_series_nor_persistent() -> None:
    rng = random.Random(5)
    turns = [" ".join(made_up_words(rng, 12 + 40 * turn)) for turn in (0,)]
    for _ in range(40):
        turns.append(f"{turns[-1]} {' '.join(made_up_words(rng, 50))}")
    found = counts(request(text, score=0.95) for text in turns)
    assert found.edits == found.attacks == 0
    assert found.elevated <= 6  # while it is so short that the next turn resembles none


def test_persistence_counts_independent_prompts_only() -> None:
    texts = independent(8)
    assert counts(request(text, score=0.9) for text in texts).elevated == 8
    assert counts(request(texts[0], score=0.9) for _ in range(8)).elevated == 1


def test_one_odd_prompt_among_ordinary_ones_is_one() -> None:
    events = [request(text, score=0.9 if place == 7 else 0.1) for place, text in enumerate(independent(30))]
    assert counts(events) == SeriesCounts(elevated=1)


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_what_got_no_answer_changes_nothing(status: int) -> None:
    events = [request(text, score=0.9, refused=True, status_code=status) for text in suffix_search(20)]
    assert observed(events) == Series()


def test_absent_fields_are_no_evidence() -> None:
    event = request(independent(1)[0], score=0.9)
    assert observed([msgspec.structs.replace(event, prompt=msgspec.UNSET)] * 9) == Series()
    bare = [msgspec.structs.replace(request(text), scores=msgspec.UNSET) for text in independent(9)]
    assert counts(bare) == SeriesCounts()


def test_counts_are_of_an_hour_and_then_forgotten() -> None:
    series = observed(map(request, suffix_search(20)))
    assert series.counts(BEGIN_MS + WINDOW_MS).edits == 20 - MIN_RUN
    assert series.counts(BEGIN_MS + WINDOW_MS + 1) == SeriesCounts()
    series.forget(BEGIN_MS + 2 * WINDOW_MS)
    assert series == Series()


def test_a_pause_of_an_hour_ends_a_series() -> None:
    texts = suffix_search(2 * MIN_RUN)
    series = observed(map(request, texts[:MIN_RUN]))
    later = BEGIN_MS + 2 * WINDOW_MS
    observed(map(request, texts[MIN_RUN:]), series, later)
    assert series.counts(later + BLOCK_MS).edits == 0


def test_the_worst_account_is_named_and_ordinary_ones_do_not_push_it_out() -> None:
    attack = [request(text, "attacker", refused=True) for text in suffix_search(10)]
    crowd = [request(text, f"user-{place}") for place, text in enumerate(independent(100))]
    series = observed(attack)
    assert series.worst_account(BEGIN_MS + BLOCK_MS) == "attacker"
    observed(crowd, series, BEGIN_MS + 10 * STEP_MS)
    assert series.worst_account(BEGIN_MS + BLOCK_MS) == "attacker"
    assert observed(crowd).worst_account(BEGIN_MS + BLOCK_MS) is None


def test_memory_is_bounded_whatever_comes() -> None:
    rng = random.Random(6)
    texts = [*suffix_search(50), *independent(50)]
    events = [
        request(rng.choice(texts), f"account-{rng.randrange(12)}", score=rng.random(), refused=rng.random() < 0.3)
        for _ in range(1_000)
    ]
    series = Series()
    for place, event in enumerate(events):
        series.observe(event, BEGIN_MS + place * 20_000)
    assert len(series.accounts) <= MAX_ACCOUNTS
    assert all(len(account.prompts) <= MAX_PROMPTS for account in series.accounts.values())
    assert len(msgspec.msgpack.encode(series)) < MAX_ACCOUNTS * 300


@pytest.mark.parametrize("cut", [1, 7, 33])
def test_encoding_between_events_changes_nothing(cut: int) -> None:
    events = [request(text, score=0.9) for text in [*suffix_search(30), *independent(10)]]
    restarted = msgspec.msgpack.decode(msgspec.msgpack.encode(observed(events[:cut])), type=Series)
    observed(events[cut:], restarted, BEGIN_MS + cut * STEP_MS)
    assert restarted == observed(events)
