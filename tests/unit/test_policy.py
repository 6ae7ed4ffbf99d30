"""Policies as people write them: the shipped one, and a file for every way to be wrong."""

from pathlib import Path

import pytest

from stream_app.detection.decisions import Action
from stream_app.detection.features import CODES
from stream_app.detection.policy import PolicyError, load_policy
from stream_app.detection.scorers import t_quantile
from tests.unit.streams import POLICY, POLICY_TEXT

WRONG = sorted((Path(__file__).parent / "policies").glob("*.yaml"))
DEFAULT = Path(__file__).resolve().parents[2] / "stream_app" / "policies" / "default.yaml"


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_policy_is_refused_by_file_line_and_key(path: Path) -> None:
    """The file's first comments say what is expected, ``# LINE: MESSAGE`` each."""
    text = path.read_text()
    expected = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    with pytest.raises(PolicyError) as caught:
        load_policy(text, "wrong.yaml")
    told = str(caught.value).splitlines()
    assert len(told) == len(expected)
    for message, part in zip(told, expected, strict=True):
        assert message.startswith(f"wrong.yaml:{part}")


@pytest.mark.parametrize("text", ["", "3", "- a", "null", "just words"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"^wrong\.yaml:1: a policy is a mapping with the keys version, mode, "):
        load_policy(text, "wrong.yaml")


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"^wrong\.yaml:1: not YAML: "):
        load_policy("[" * 5_000, "wrong.yaml")


def test_the_shipped_policy_uses_every_feature_and_enforces_nothing() -> None:
    policy = load_policy(DEFAULT.read_text(), "default.yaml")
    assert set(policy.features) == set(CODES)
    assert policy.simulated
    assert [name for name, _ in policy.ladder] == [Action.OBSERVE, Action.THROTTLE, Action.BLOCK]


def test_rungs_are_actions_in_the_order_of_severity_however_they_are_written() -> None:
    text = POLICY_TEXT.replace(
        "\n  observe:", "\n  challenge: {enter: 0.99999, leave: 0.99, ttl_s: 600, max_ttl_s: 600}\n  observe:"
    )
    policy = load_policy(text, "test")
    names = [name for name, _ in policy.ladder]
    assert names == [Action.OBSERVE, Action.THROTTLE, Action.CHALLENGE, Action.BLOCK]
    assert all(type(name) is Action for name in names)
    assert policy.rungs.get(Action.BLOCK) is policy.ladder[-1][1]


def test_a_feature_that_the_policy_leaves_out_never_counts() -> None:
    policy = load_policy(POLICY_TEXT.replace("  errors_60s: {floor: 30, up_to: observe}\n", ""), "test")
    assert policy.floors[CODES.index("errors_60s")] == float("inf")
    assert policy.floors[CODES.index("requests_60s")] == 60


def test_quantiles_are_those_of_the_enter_scores() -> None:
    assert {name: t_quantile(rule.enter) for name, rule in POLICY.ladder} == POLICY.quantiles
    assert POLICY.longest_ttl_s == 3600
