"""The campaign stage as its worker drives it: ticks among the signals, checkpoints, repetitions, entries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import orjson
import pytest

from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.entries import entries_of
from stream_app.detection.campaigns.profiles import PROMPTS, Profiles
from stream_app.detection.campaigns.repetitions import VerdictReader
from stream_app.detection.campaigns.stage import TICK_MS
from stream_app.detection.decisions import Action
from stream_app.detection.effects import DeadLetter, Effect, EmitCampaign, EmitDecision, EmitVerdict
from stream_app.detection.operators import Ignored, parse_operator
from stream_app.detection.policy import load_policy
from stream_app.detection.records import Record
from stream_app.detection.signals import Profile, PromptSketch, Signal
from stream_app.detection.state import PARTITION_KEY, StateError
from stream_app.policies import DEFAULT_POLICY
from tests.unit.campaign_worlds import BEGIN_MS, Crowd
from tests.unit.streams import operator_record

LINKS = "links: {payment_fp: block, signup_fp: challenge, ip_prefix: challenge}"
POLICY = load_policy(f"{DEFAULT_POLICY.read_text()}\n{LINKS}", "default")


def new(encoded: dict[str, bytes] | None = None) -> CampaignDetector:
    return CampaignDetector("signals", 0, POLICY, {} if encoded is None else encoded)


def records(signals: Sequence[Signal], first: int = 0) -> list[Record]:
    return [Record(first + place, 0, msgspec.json.encode(signal), {}) for place, signal in enumerate(signals)]


def signal(tenant: str, minutes: float, *, partition: int = 0, sequence: int = 0, **links: Any) -> Signal:
    return Signal(tenant, partition, sequence, BEGIN_MS + int(minutes * 60_000), 1, Profile(**links))


def checkpoint(detector: CampaignDetector, kept: dict[str, bytes]) -> None:
    """Take one in small slices, as a worker does, into what its changelog holds."""
    detector.begin_checkpoint()
    while (changes := detector.encode_checkpoint(100)) is None:
        pass
    for key, value in changes.items():
        kept.pop(key, None)
        if value is not None:
            kept[key] = value


@pytest.fixture(scope="module")
def stream() -> list[Record]:
    """Half a day in which a campaign is found, thinned so that ticks stay cheap."""
    crowd = Crowd(3)
    crowd.ordinary(300)
    crowd.campaign(120, share=0.9, mix=0.9)
    late = [one for one in crowd.signals(1.3) if one.pane_end_ms > BEGIN_MS + 0.95 * 86_400_000]
    for one in late:
        one.profile.tokens = 300
    return records(late)


@pytest.fixture(scope="module")
def whole(stream: list[Record]) -> tuple[list[Effect], dict[str, bytes]]:
    detector, kept = new(), dict[str, bytes]()
    effects = detector.handle(stream)
    checkpoint(detector, kept)
    return effects, kept


def test_a_stage_in_two_pieces_with_its_state_encoded_between_is_the_stage_in_one(
    stream: list[Record], whole: tuple[list[Effect], dict[str, bytes]]
) -> None:
    kept: dict[str, bytes] = {}
    effects: list[Effect] = []
    for begin in range(0, len(stream), len(stream) // 3 + 1):
        detector = new(dict(kept))
        part = stream[begin : begin + len(stream) // 3 + 1]
        effects += detector.handle(part[:200])
        checkpoint(detector, kept)
        effects += detector.handle(part[200:])
        checkpoint(detector, kept)
    assert effects == whole[0]
    assert {e.decision.scope for e in effects if isinstance(e, EmitDecision)} == {
        "payment_fp",
        "signup_fp",
        "ip_prefix",
    }
    assert kept == whole[1]
    assert any(isinstance(effect, EmitVerdict) for effect in effects)


def test_a_checkpoint_holds_what_was_when_it_began(stream: list[Record]) -> None:
    still, going = new(), new()
    kept: dict[str, bytes] = {}
    for detector in (still, going):
        detector.handle(stream[:300])
        detector.begin_checkpoint()
    assert going.encode_checkpoint(10) is None
    going.handle(stream[300:600])
    while (changes := going.encode_checkpoint(10)) is None:
        pass
    assert changes == still.encode_checkpoint()
    assert new(kept | {key: value for key, value in changes.items() if value is not None}).position == 300


def test_the_campaigns_topic_ends_as_the_stage_knows_them(
    stream: list[Record], whole: tuple[list[Effect], dict[str, bytes]]
) -> None:
    topic: dict[str, Any] = {}
    for effect in whole[0]:
        if isinstance(effect, EmitCampaign):
            topic.pop(effect.key, None)
            if effect.entry is not None:
                topic[effect.key] = effect.entry
    stage = new(dict(whole[1])).stage
    assert topic == entries_of(stage.campaigns) != {}
    assert stage.profiles.names
    [campaign, *_] = stage.campaigns
    rows = [stage.profiles.rows[name] for name in campaign.members]
    assert topic[campaign.campaign_id]["tokens_taken"] == stage.profiles.tokens[rows].sum() > 300 * len(rows)


def test_a_dismissal_releases_what_was_decided_on_shared_values(stream: list[Record]) -> None:
    detector = new()
    detector.handle(stream)
    held = {key for key, standing in detector.stage.memory.links.items() if standing.action is not Action.ALLOW}
    (campaign_id,) = {standing.campaign_id for standing in detector.stage.memory.links.values()}
    value = operator_record("dismiss", 0, subject=f"campaign:{campaign_id}")
    effects = detector.instruct("operator", 0, parse_operator(value), value, "operator.v1")
    released = {one.decision.key for one in effects if isinstance(one, EmitDecision)}
    assert released == held != set()


def test_a_person_releases_one_shared_value_and_the_next_tick_leaves_it_alone(stream: list[Record]) -> None:
    detector = new()
    detector.handle(stream)
    key = min(key for key, one in detector.stage.memory.links.items() if one.action is not Action.ALLOW)
    value = operator_record("release", 0, subject=key)
    (released,) = detector.instruct("operator", 0, parse_operator(value), value, "operator.v1")
    assert isinstance(released, EmitDecision)
    assert (released.decision.key, released.decision.action) == (key, Action.ALLOW)
    (refused,) = detector.instruct("operator", 1, parse_operator(value), value, "operator.v1")
    assert isinstance(refused, DeadLetter)


def test_tenants_long_silent_are_forgotten_in_the_stored_state_too() -> None:
    detector, kept = new(), dict[str, bytes]()
    day = 24 * 60
    detector.handle(records([signal(f"old-{number}", 1) for number in range(8)]))
    for sequence in range(4):
        detector.handle(records([signal("new", 20 + sequence, sequence=sequence)], detector.position))
    checkpoint(detector, kept)
    assert {f"tenant/old-{number}" for number in range(8)} <= kept.keys()
    for sequence in range(4, 8):
        later = signal("new", 15 * day + 20 * sequence, sequence=sequence)
        detector.handle(records([later], detector.position))
    checkpoint(detector, kept)
    assert {key for key in kept if key.startswith("tenant/")} == {"tenant/new"}
    assert new(dict(kept)).stage.profiles.tenant_ids == ["new"]


def test_entries_are_what_the_schema_says(whole: tuple[list[Effect], dict[str, bytes]]) -> None:
    schema = orjson.loads((Path(__file__).resolve().parents[2] / "schemas/campaign/v1.schema.json").read_bytes())
    check = jsonschema_rs.validator_for(schema)
    entries = [effect.entry for effect in whole[0] if isinstance(effect, EmitCampaign) and effect.entry]
    assert {"tenant_id" in entry for entry in entries} == {True, False}
    for entry in entries:
        check.validate(orjson.loads(orjson.dumps(entry)))


def test_signals_that_a_crashed_worker_repeats_count_once(stream: list[Record]) -> None:
    once, twice = new(), new()
    assert once.handle(stream[:400]) == twice.handle([*stream[:400]])
    assert twice.handle([record._replace(offset=400 + record.offset) for record in stream[:400]]) == []
    assert twice.take_tally().repeated == 400
    assert len(once.stage.waiting) == len(twice.stage.waiting)


def test_a_tick_waits_for_every_partition_that_is_not_silent() -> None:
    detector = new()
    detector.handle(records([signal("a", 9.5), signal("b", 9.5, partition=1)]))
    for minutes in (10.0, 10.25, 10.5):
        detector.handle(records([signal("a", minutes, sequence=int(minutes * 4))], detector.position))
    assert detector.state.ticked_ms == 0 or detector.state.ticked_ms < BEGIN_MS + TICK_MS
    detector.handle(records([signal("a", 11.0, sequence=50)], detector.position))
    assert detector.state.ticked_ms == BEGIN_MS + TICK_MS


def test_bad_signals_are_dead_letters() -> None:
    (letter,) = new().handle([Record(7, 0, b"{", {})])
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.offset, letter.original) == ("signals", 7, b"{")


def test_states_of_another_version_are_refused() -> None:
    with pytest.raises(StateError):
        new({PARTITION_KEY: b"\xff"})


def test_a_verdict_repeated_after_a_crash_is_passed_over(whole: tuple[list[Effect], dict[str, bytes]]) -> None:
    told = [effect for effect in whole[0] if isinstance(effect, EmitVerdict)]
    reader = VerdictReader()
    lines = [msgspec.json.encode(effect) for effect in told]
    assert [reader.parse(line) for line in lines] == [effect.verdict for effect in told]
    assert {type(reader.parse(line)) for line in lines} == {Ignored}
    assert not isinstance(reader.parse(b"nonsense"), Ignored)


def test_what_partners_told_and_skeletons_for_them_outlive_a_crash() -> None:
    """A checkpoint that knows the instruction's offset holds what it brought; a repetition is not taken in twice."""
    bundle = {"partner": "p", "key_id": "exchange-1", "parts": []}
    told = parse_operator(operator_record("indicators", 0, expires_s=60, body={"bundle": bundle}))
    newer = parse_operator(operator_record("indicators", 0, expires_s=90, body={"bundle": bundle}))
    detector, kept = new(), dict[str, bytes]()
    assert detector.is_concerned_by(told)
    others = [signal(f"other-{number}", 90 + number) for number in range(4)]
    detector.handle(records([signal("t", 1, exchanged=["a", "b"]), *others]))
    detector.instruct("operator", 5, told, b"", "operator.v1")
    checkpoint(detector, kept)
    again = new(kept)
    again.instruct("operator", 5, newer, b"", "operator.v1")
    assert again.stage.memory.indicators == detector.stage.memory.indicators != {}
    row = again.stage.profiles.rows["t"]
    assert again.stage.profiles.exchanged[row].tolist() == detector.stage.profiles.exchanged[row].tolist()
    assert again.stage.profiles.exchanged[row].any()


def test_tokens_outlive_a_crash_and_begin_at_none_with_states_from_before_they_were_kept() -> None:
    def taken(kept: dict[str, bytes]) -> int:
        detector = new(dict(kept))
        later = [signal(f"later-{number}", 180 + number) for number in range(4)]
        detector.handle(records([signal("t", 100, sequence=1, tokens=20), *later], first=5))
        return int(detector.stage.profiles.tokens[detector.stage.profiles.rows["t"]])

    detector, kept = new(), dict[str, bytes]()
    others = [signal(f"other-{number}", 90 + number) for number in range(4)]
    detector.handle(records([signal("t", 1, tokens=300), *others]))
    checkpoint(detector, kept)
    part = msgspec.msgpack.decode(kept["tenant/t"][1:])
    older = {**kept, "tenant/t": kept["tenant/t"][:1] + msgspec.msgpack.encode(part[:-1])}
    assert (part[-1], taken(kept), taken(older)) == (300, 320, 20)


def test_rows_from_before_times_of_prompts_were_kept_are_read_and_damaged_ones_are_refused() -> None:
    def profiles(cut: int) -> Profiles:
        part = msgspec.msgpack.decode(kept["tenant/t"][1:])
        part[3] = part[3][: len(part[3]) - cut]
        row = kept["tenant/t"][:1] + msgspec.msgpack.encode(part)
        return new({**kept, "tenant/t": row}).stage.profiles

    detector, kept = new(), dict[str, bytes]()
    others = [signal(f"other-{number}", 90 + number) for number in range(4)]
    detector.handle(records([signal("t", 1, prompts=[PromptSketch("", ["w"])], tokens=3), *others]))
    checkpoint(detector, kept)
    whole, older = profiles(0), profiles(2 * PROMPTS)
    row = whole.rows["t"]
    assert whole.sent[row].any()
    assert not older.sent[row].any()
    assert older.templates[row].tolist() == whole.templates[row].tolist()
    assert older.templates[row].any()
    with pytest.raises(StateError):
        profiles(10)
