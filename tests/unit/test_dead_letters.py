"""What is sent again of a dead letter, and what never is."""

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from stream_app.adapters.dead_letters import KeptLetter, prepare
from stream_app.cli import main
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.unit.streams import operator_record

SETTINGS = Settings(broker="127.0.0.1:1")
AT = datetime(2026, 3, 2, tzinfo=UTC)
ORDER = operator_record("release", 0, subject="tenant:acme")


def letter(reason: str, topic: str, original: bytes | None) -> KeptLetter:
    return KeptLetter(f"{topic}/0/7", reason, "told", topic, 0, None, AT, original)


@pytest.mark.parametrize(
    ("kept", "problem"),
    [
        (letter("no_identity", "access.jsonl", None), "which letters hold nothing"),
        (letter("not_json", "kong-logs", None), "gateway-events with --refused-since"),
        (letter("too_large", SETTINGS.topic(TopicName.REQUESTS), None), "over 64 KiB"),
        (letter("forged", SETTINGS.topic(TopicName.OPERATOR), ORDER), "whoever means it orders it anew"),
    ],
)
def test_what_there_is_nothing_to_send_of_says_why(kept: KeptLetter, problem: str) -> None:
    again = prepare(kept, SETTINGS, 0)
    assert again.value is None
    assert problem in (again.problem or "")


def test_an_order_that_was_only_not_understood_is_sent_again() -> None:
    again = prepare(letter("invalid", SETTINGS.topic(TopicName.OPERATOR), ORDER), SETTINGS, 0)
    assert (again.value, again.key, again.problem) == (ORDER, "tenant:acme", None)


@pytest.mark.parametrize("reason", ["no_identity", "no_tokens", "forged", "misrouted"])
def test_every_reason_can_be_asked_for(reason: str) -> None:
    nobody = {"STILLWATCH_BROKER": "127.0.0.1:1"}
    asked = CliRunner().invoke(main, ["dead-letters", "list", "--reason", reason], env=nobody)
    assert "not one of" not in asked.output
    assert asked.exit_code == 1  # nobody answers
