"""Bundles: what leaves, what is refused, and that a partner's word comes back as it went."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result

from stream_app.cli import main
from stream_app.detection.campaigns.indicators import Indicators, Part, keep
from stream_app.detection.operators import Learn, parse_operator
from stream_app.sharing.bundles import NothingToShareError, Terms, Tlp, bundle_of
from stream_app.sharing.keys import load_exchange
from stream_app.sharing.readings import BundleRefusedError, Reading, read_bundle
from stream_app.sharing.unions import unions
from stream_app.signatures import Purpose, Signer, load_signer, make_keys
from stream_app.sketches import Key, sketch_prompt

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TERMS = Terms("north", AT)
VALUES = {"ja4": {"0b7e151628aed2a6": 12}, "prefix": {f"{n:016x}": n + 2 for n in range(5)}, "content": {"9e3779b9": 5}}


def campaign(**changes: Any) -> dict[str, Any]:
    return {
        "campaign_id": "c-1d114b185730",
        "kind": "distillation",
        "status": "confirmed",
        "confidence": 0.93,
        "aliases": [],
        "evidence": [],
        "values": [{"kind": "ja4", "value": "t13d1516h2", "members": 12, "tenants": 12}],
        "members": [{"tenant_id": f"tenant-{n}"} for n in range(17)],
        "shared": {"key_id": "exchange-1", "is_proved": True, "values": VALUES},
    } | changes


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("north", "stranger"):
        make_keys(folder / name)
    return folder


@pytest.fixture(scope="module")
def north(keys: Path) -> Signer:
    return load_signer(keys / "north")


def read(content: bytes, signer: Signer, *, now: datetime = AT, trusted: Signer | None = None) -> Reading:
    signature = str(signer.sign(content, Purpose.INDICATORS))
    return read_bundle(content, signature, (trusted or signer).verifier(), now)


def changed(change: Callable[[list[dict[str, Any]]], object]) -> bytes:
    plain = json.loads(bundle_of([campaign()], TERMS))
    change(plain["objects"])
    return json.dumps(plain).encode()


def of_type(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["type"] == kind]


def test_what_is_told_is_what_is_read(north: Signer) -> None:
    reading = read(bundle_of([campaign()], TERMS), north)
    (part,) = reading.indicators.parts
    assert (reading.provider, reading.tlp, reading.indicators.partner) == ("north", Tlp.AMBER, north.key_id)
    assert reading.valid_until == AT + timedelta(days=14)
    assert (part.members, part.is_proved, part.values) == (17, True, VALUES)


def test_a_bundle_names_no_tenant_no_campaign_of_ours_and_no_value_in_the_clear() -> None:
    text = bundle_of([campaign()], TERMS).decode()
    assert not [raw for raw in ("tenant-", "c-1d114b185730", "t13d1516h2") if raw in text]


def test_the_same_campaigns_give_the_same_bytes_in_any_order() -> None:
    two = [campaign(), campaign(campaign_id="c-2", confidence=0.5)]
    assert bundle_of(two, TERMS) == bundle_of(two[::-1], TERMS)


def test_what_has_nothing_that_may_leave_is_not_told() -> None:
    with pytest.raises(NothingToShareError):
        bundle_of([campaign(shared={"key_id": "k", "is_proved": False, "values": {}})], TERMS)


def test_a_bundle_signed_by_a_stranger_is_refused(keys: Path, north: Signer) -> None:
    with pytest.raises(BundleRefusedError, match="not trusted"):
        read(bundle_of([campaign()], TERMS), load_signer(keys / "stranger"), trusted=north)


def test_a_bundle_that_was_changed_after_signing_is_refused(north: Signer) -> None:
    content = bundle_of([campaign()], TERMS)
    signature = str(north.sign(content, Purpose.INDICATORS))
    with pytest.raises(BundleRefusedError, match="not what key"):
        read_bundle(content.replace(b'"members": 17', b'"members": 18'), signature, north.verifier(), AT)


def test_a_signature_over_something_else_does_not_pass_for_one_over_a_bundle(north: Signer) -> None:
    content = bundle_of([campaign()], TERMS)
    with pytest.raises(BundleRefusedError):
        read_bundle(content, str(north.sign(content, Purpose.DOSSIER)), north.verifier(), AT)


def unmarked(objects: list[dict[str, Any]]) -> None:
    del of_type(objects, "indicator")[0]["object_marking_refs"]


def marked_red(objects: list[dict[str, Any]]) -> None:
    for one in objects:
        if "object_marking_refs" in one:
            one["object_marking_refs"] = ["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"]


def without_end(objects: list[dict[str, Any]]) -> None:
    del of_type(objects, "indicator")[0]["valid_until"]


def for_years(objects: list[dict[str, Any]]) -> None:
    for one in of_type(objects, "indicator"):
        one["valid_until"] = "2031-01-01T00:00:00Z"


def to_come(objects: list[dict[str, Any]]) -> None:
    for one in of_type(objects, "indicator"):
        one["valid_from"] = "2026-03-03T00:00:00Z"


def carriers_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (extension,) = of_type(objects, "indicator")[0]["extensions"].values()
    carriers: dict[str, Any] = extension["carriers"]
    return carriers


def written_later(objects: list[dict[str, Any]]) -> None:
    of_type(objects, "campaign")[0]["modified"] = "2026-03-03T00:00:00Z"


def too_many_values(objects: list[dict[str, Any]]) -> None:
    carriers_of(objects).update({f"{n:016x}": 2 for n in range(101)})


def raw_value(objects: list[dict[str, Any]]) -> None:
    carriers_of(objects)["203.0.113.0/24"] = 3


def negative(objects: list[dict[str, Any]]) -> None:
    carriers_of(objects)["0b7e151628aed2a6"] = -1


def two_keys(objects: list[dict[str, Any]]) -> None:
    next(iter(of_type(objects, "indicator")[0]["extensions"].values()))["key_id"] = "another"


def no_campaign(objects: list[dict[str, Any]]) -> None:
    objects[:] = [one for one in objects if one["type"] != "campaign"]


def endless(objects: list[dict[str, Any]]) -> None:
    objects += [deepcopy(objects[1]) for _ in range(300)]


def strange_object(objects: list[dict[str, Any]]) -> None:
    objects.append({"type": "x-unheard-of", "id": "x-unheard-of--1"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (unmarked, "TLP"),
        (marked_red, "TLP"),
        (without_end, "valid_until"),
        (for_years, "90 days"),
        (to_come, "to come"),
        (written_later, "written at 2026-03-03 00:00 UTC, which is to come"),
        (too_many_values, "at most 100"),
        (raw_value, "no digest"),
        (negative, ">= 0"),
        (two_keys, "mixes exchange keys"),
        (no_campaign, "no campaign"),
        (endless, "objects"),
        (strange_object, "not a bundle of indicators"),
    ],
)
def test_what_a_trusted_partner_may_not_tell_either_is_refused_in_one_line(
    change: Callable[[list[dict[str, Any]]], object], why: str, north: Signer
) -> None:
    with pytest.raises(BundleRefusedError, match=why) as refused:
        read(changed(change), north)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"type":"bundle","objects":[1]}', b"\xff"])
def test_no_content_breaks_the_reader(content: bytes, north: Signer) -> None:
    with pytest.raises(BundleRefusedError):
        read(content, north)


def test_an_oversized_or_expired_bundle_is_refused(north: Signer) -> None:
    content = bundle_of([campaign()], TERMS)
    with pytest.raises(BundleRefusedError, match="at most 1,048,576"):
        read(content + b" " * (1 << 20), north)
    with pytest.raises(BundleRefusedError, match="expired at 2026-03-16 09:00 UTC"):
        read(content, north, now=AT + timedelta(days=14))


def test_parts_that_share_values_are_one_campaign_in_the_union_and_others_are_not(north: Signer) -> None:
    elsewhere = {"ja4": VALUES["ja4"], "prefix": {f"{n:016x}": 2 for n in range(3, 9)}}
    strangers = {"ja4": VALUES["ja4"], "prefix": {f"{n:016x}": 2 for n in range(100, 109)}}
    readings = [
        read(
            bundle_of([campaign(shared={"key_id": "k", "is_proved": False, "values": values})], Terms(name, AT)), north
        )
        for name, values in (("north", VALUES), ("east", elsewhere), ("south", strangers))
    ]
    together, apart = unions(readings)
    assert [placed.provider for placed in together.parts] == ["north", "east"]
    assert (together.members, together.common) == (34, {"ja4": 1, "prefix": 2})
    assert [placed.provider for placed in apart.parts] == ["south"]


def test_digests_agree_between_providers_with_the_same_key_only(tmp_path: Path) -> None:
    def digest(name: str, secret: str) -> str:
        path = tmp_path / name
        path.write_text(f"exchange-1:{secret * 32}")
        path.chmod(0o600)
        return load_exchange(path).digest("ja4", "t13d1516h2")

    assert digest("a", "ab") == digest("b", "ab") != digest("c", "cd")


def test_a_sketch_holds_a_second_one_under_the_exchange_key() -> None:
    text = "You must answer the question below step by step. Question: why is the sky blue?"
    own, shared = Key("own", b"o" * 32), Key("exchange-1", b"x" * 32)
    sketch = sketch_prompt(text, key=own, exchange=shared)
    alone = sketch_prompt(text, key=shared)
    assert msgspec.to_builtins(sketch)["exchange"] == {
        "key_id": "exchange-1",
        "simhash": alone.simhash,
        "templates": alone.templates,
    }
    assert sketch.templates != alone.templates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = [campaign(), campaign(campaign_id="c-2", status="candidate")]
    (tmp_path / "campaigns.jsonl").write_bytes(b"\n".join(orjson.dumps(one) for one in found))
    return tmp_path


def stillwatch(*words: object) -> Result:
    return CliRunner().invoke(main, ["indicators", *map(str, words)])


def exported(folder: Path, keys: Path, *more: str) -> Result:
    options = ("--from", folder, "--provider", "north", "--signing-key", keys / "north", "--out", folder / "b.json")
    return stillwatch("export", *more, *options)


def test_export_import_and_list_from_files(folder: Path, keys: Path) -> None:
    assert exported(folder, keys).exit_code == 0
    trusted = ("--trusted", keys / "north.pub")
    done = stillwatch(
        "import", folder / "b.json", *trusted, "--to", folder / "op.jsonl", "--reason", "weekly", "--by", "jo"
    )
    assert done.exit_code == 0, done.output
    learned = parse_operator((folder / "op.jsonl").read_bytes())
    assert isinstance(learned, Learn)
    assert [type(part) for part in learned.indicators.parts] == [Part]
    assert "17 members: 17 at north" in stillwatch("list", folder / "b.json", *trusted).output


def test_only_what_is_confirmed_is_told_unless_asked_for(folder: Path, keys: Path) -> None:
    exported(folder, keys)
    confirmed = (folder / "b.json").read_bytes()
    exported(folder, keys, "--candidates")
    assert confirmed.count(b'"campaign--') < (folder / "b.json").read_bytes().count(b'"campaign--')
    assert exported(folder, keys, "c-2").exit_code == 2


def test_a_forged_bundle_is_refused_at_the_command_line(folder: Path, keys: Path) -> None:
    exported(folder, keys)
    bundle = folder / "b.json"
    bundle.write_bytes(bundle.read_bytes().replace(b'"members": 17', b'"members": 99'))
    options = ("--to", folder / "op.jsonl", "--reason", "weekly", "--by", "jo")
    forged = stillwatch("import", bundle, "--trusted", keys / "north.pub", *options)
    assert (forged.exit_code, len(forged.output.splitlines())) == (1, 1)
    assert stillwatch("import", bundle, "--trusted", keys / "stranger.pub", *options).exit_code == 1
    assert stillwatch("import", bundle, *options).exit_code == 2
    assert not (folder / "op.jsonl").exists()


def test_a_bundle_that_was_replaced_is_refused_when_it_comes_again(folder: Path, keys: Path) -> None:
    lines = folder / "op.jsonl"

    def import_of(at: str, name: str = "north") -> Result:
        bundle = folder / f"{name}.json"
        options = ("--provider", name, "--signing-key", keys / name, "--out", bundle, "--at", at)
        assert stillwatch("export", "--from", folder, *options).exit_code == 0
        trusted = ("--trusted", keys / f"{name}.pub")
        return stillwatch("import", bundle, *trusted, "--to", lines, "--reason", "weekly", "--by", "jo")

    earlier, later = ((datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds") for days in (3, 1))
    assert import_of(earlier).exit_code == import_of(later).exit_code == 0
    again = import_of(earlier)
    assert (again.exit_code, len(again.output.splitlines())) == (1, 1)
    assert "an old one sent again" in again.output
    assert import_of(later).exit_code == 0  # the same once more changes nothing
    assert import_of(earlier, "stranger").exit_code == 0  # each partner has a time of its own
    told = [parse_operator(line) for line in lines.read_bytes().splitlines()]
    assert len({one.indicators.partner for one in told if isinstance(one, Learn)}) == 2
    assert len(told) == 4


def test_what_was_told_before_is_not_put_in_place_of_what_was_told_later(north: Signer) -> None:
    old, new = (read(bundle_of([campaign()], Terms("north", AT - timedelta(days=n))), north).indicators for n in (2, 1))
    held: dict[str, Indicators] = {}
    for told in (old, new, old):
        keep(held, told)
    assert list(held.values()) == [new]
