"""The recorded attacks are series; ordinary users made of published prompts are not."""

import msgspec
import pytest

from benchmarks.prompt_scores.corpus import published
from benchmarks.prompt_series import (
    ATTACK_LOG,
    DATA,
    FLOORS,
    KEY,
    Prompt,
    as_recorded,
    attack_runs,
    completed,
    ordinary_users,
    play,
)
from stream_app.detection.policy import load_policy
from stream_app.policies import DEFAULT_POLICY
from stream_app.sketches import PromptScorer, sketch_prompt
from tests.unit.streams import EventFields, event, in_order, run, steady

pytestmark = pytest.mark.skipif(
    not ATTACK_LOG.is_file(), reason=f"no recorded attacks {ATTACK_LOG} (STILLWATCH_SHARED_DATA)"
)

SCORER = PromptScorer.load()
#: Shorter runs of the log succeeded in two to eight requests: too few for any floor.
LONG = 2 * FLOORS.edits


def test_every_long_run_is_seen_when_its_tries_were_refused() -> None:
    runs = [run for run in attack_runs() if len(run) >= LONG]
    firsts = [play(as_recorded(run, is_refused=True), SCORER).first for run in runs]
    assert len(runs) == 10
    assert all(first is not None and first <= LONG for first in firsts)


def test_most_long_runs_are_series_without_any_refusal() -> None:
    made = [completed(run) for run in attack_runs() if len(run) >= LONG]
    assert sum(play(prompts, SCORER).counts.edits > 0 for prompts in made) >= 8


def test_all_runs_by_one_account_are_seen_within_ten_requests() -> None:
    first = play([prompt for run in attack_runs() for prompt in as_recorded(run)], SCORER).first
    assert first is not None
    assert first <= LONG


def test_ordinary_users_are_not_seen() -> None:
    in_form = {"short texts under a short template", "a number that changes in one prompt"}
    users = [(name, prompts[:200]) for name, prompts in ordinary_users(published(DATA))]
    seen = [(name, play(prompts, SCORER)) for name, prompts in users[::3] if name not in in_form]
    assert len(seen) > 50
    assert [name for name, found in seen if found.first is not None or found.counts.attacks] == []


def test_what_has_the_form_of_edits_is_never_an_attack() -> None:
    number = [Prompt(f"[{place}] How many eggs does the farmer sell on a market day in spring?") for place in range(60)]
    assert play(number, SCORER).counts.attacks == 0


def test_the_core_decides_on_every_long_run_whose_tries_were_refused() -> None:
    """Beside other users, a try every half minute; none of them is named."""
    policy = load_policy(DEFAULT_POLICY.read_text(), "default")
    for run_of_tries in (made for made in attack_runs() if len(made) >= 2 * LONG):
        tries = [
            _asked(600 + 30 * place, prompt, place)
            for place, prompt in enumerate(completed(run_of_tries, is_refused=True)[:100])
        ]
        others = [steady(0, 4_200, 1, name=f"user-{k}", account_id=f"user-{k}") for k in range(3)]
        found = run(in_order(tries, *others), policy)
        assert {(d.scope, d.account_id) for d in found} == {("account", "mallory")}
        assert found[0].reasons[0].code in {"attacks_3600s", "refused_retries_3600s"}


def _asked(time_s: float, prompt: Prompt, place: int) -> EventFields:
    sketch = msgspec.to_builtins(sketch_prompt(prompt.text, key=KEY))
    return event(time_s, id=f"try-{place}", account_id="mallory", prompt=sketch, refused=prompt.is_refused)
