"""Dossiers: what they tell, that every change shows, and that outsiders learn of no customer."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli import main
from stream_app.detection.decisions import Decision
from stream_app.dossiers import pages, papers
from stream_app.dossiers.chains import Entry, broken_link, chain, differences
from stream_app.dossiers.contents import Sources, compose
from stream_app.dossiers.redaction import Pseudonyms, redact, rounded
from stream_app.dossiers.seals import seal
from stream_app.plots.loads import Load
from stream_app.reports.dossiers import evidence
from stream_app.signatures import make_keys

MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)
TENANTS = [f"tenant-<{number}>" for number in range(12)]
SECRETS = (*TENANTS, "card-4711", "203.0.113.0/24", "tenant-%3C0%3E", "evt-1", "alice", "c-1", "policy-7", "old-id")


def member(tenant_id: str) -> dict[str, Any]:
    nats = {"payer": 9.0, "content": -0.01}
    joined = "2025-06-01T10:20:00+00:00"
    return {"tenant_id": tenant_id, "posterior": 0.999999, "role": "block", "joined_at": joined, "nats": nats}


CAMPAIGN: dict[str, Any] = {
    "campaign_id": "c-1",
    "kind": "distillation",
    "status": "confirmed",
    "confidence": 0.8123,
    "first_alert_time": "2025-06-01T10:10:00+00:00",
    "confirmed_time": "2025-06-01T11:00:00+00:00",
    "aliases": ["old-id"],
    "feedback": {"is_confirmed": True, "by": "alice", "at": "2025-06-01T13:00:00+00:00", "foreseen": 0.9},
    "evidence": [{"group": "payer", "nats": 120.0, "control_nats": 3.0, "members": 11}],
    "pooled": ["payer"],
    "explanations": ["one_payer"],
    "queue": {"pairs": 0, "wrappers": 0, "excess": 0, "shared_bodies": 0, "dealt": 0},
    "values": [
        {"kind": "payment", "value": "card-4711", "members": 12, "tenants": 13},
        {"kind": "prefix", "value": "203.0.113.0/24", "members": 7, "tenants": 7},
    ],
    "members": [member(tenant) for tenant in TENANTS],
}


def decision() -> dict[str, Any]:
    run = {"topic": "requests", "partition": 1}
    sources = [run | {"first_offset": 5, "last_offset": 9}, run | {"first_offset": 10, "last_offset": 12}]
    return {
        "decision_id": "d-1",
        "scope": "tenant",
        "subject": "tenant-%3C0%3E",
        "tenant_id": "tenant-<0>",
        "action": "block",
        "simulated": False,
        "origin": "detector",
        "reasons": [],
        "policy": {"version": "policy-7", "rung": "block"},
        "model": {"name": "campaign_pool", "version": "1"},
        "campaign_id": "c-1",
        "issued_at": "2025-06-01T12:00:00Z",
        "expires_at": "2025-06-01T17:00:00Z",
        "revision": 3,
        "evidence": {
            "events": 3,
            "first_time": "2025-06-01T11:00:00Z",
            "last_time": "2025-06-01T12:00:00Z",
            "sources": sources,
            "sample_event_ids": ["evt-1"],
        },
    }


def document() -> dict[str, Any]:
    made = msgspec.convert(decision(), Decision)
    load = Load("2025-06-01T10:00:00+00:00", 3600, [100, 120, 10, 0], [3, 9, 12, 12], 1_000, [9_000, 11_000, 500, 0])
    log = [Entry(f"log, partition 0, offset {n}", f"c-1/{name}".encode(), b"{}") for n, name in enumerate(TENANTS)]
    return compose(Sources(CAMPAIGN, [made], log, load), MADE_AT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A replay's results, and keys to sign with."""
    (tmp_path / "campaigns.jsonl").write_bytes(orjson.dumps(CAMPAIGN) + b"\n")
    (tmp_path / "decisions.jsonl").write_bytes(orjson.dumps(decision()) + b"\n")
    make_keys(tmp_path / "key")
    make_keys(tmp_path / "other")
    return tmp_path


def stillwatch(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def written(folder: Path, form: str, *words: object) -> Path:
    out = folder / f"dossier.{form}"
    done = stillwatch("campaigns", "dossier", "old-id", "--from", folder, "--format", form, "--out", out, *words)
    assert done.exit_code == 0, done.output
    return out


def test_it_tells_members_decisions_their_effect_and_where_the_evidence_lies() -> None:
    told = document()
    assert told["size"] == {"members": 12, "act": 12, "block": 12}
    assert [one["denied_at"] for one in told["members"][:2]] == ["2025-06-01T12:00:00+00:00", None]
    assert told["offsets"] == [{"topic": "requests", "partition": 1, "first": 5, "last": 12}]
    assert told["effect"] == {
        "first_denial": "2025-06-01T12:00:00+00:00",
        "requests_per_hour_before": 110.0,
        "requests_per_hour_after": 5.0,
        "tokens_per_hour_before": 10_000.0,
        "tokens_per_hour_after": 250.0,
        "is_simulated": False,
    }
    assert (told["policies"], told["models"]) == (["policy-7"], ["campaign_pool 1"])
    assert [one["what"] for one in told["timeline"]][-1] == "confirmed by a person"
    rates = "made 110 requests an hour in the day before and 5 requests an hour in the day after, and took 10,000 "
    assert any(rates in line for line in told["summary"])
    assert told["said"][0].startswith("but: one payment instrument dominates")


def test_it_tells_why_members_are_only_watched() -> None:
    told = {bar: evidence(CAMPAIGN | {"watched_only": bar})[-2] for bar in ("no_content", "no_links", "later-reason")}
    assert "until a person confirms" in told["no_content"] != told["no_links"]
    assert told["later-reason"].endswith("later-reason")
    assert not any("watched" in line for line in evidence(CAMPAIGN))


@pytest.mark.parametrize("is_even", [True, False])
def test_it_tells_whether_accounts_have_a_say_in_what_they_ask(is_even: bool) -> None:
    dealing = {"accounts": 90, "least_alike": 0.9, "most_alike": 1.1, "wrapped": 0.2, "unequal": 0.3}
    told = evidence(CAMPAIGN | {"dealing": {"is_even": is_even} | dealing})[-1]
    assert told.startswith("its accounts: have no say") is is_even
    assert "20% of their prompts" in told
    assert evidence(CAMPAIGN)[-1].startswith("its prompts: ")


def test_it_tells_how_widely_prompts_were_dealt_and_reads_entries_that_do_not_say() -> None:
    queue = {"pairs": 60.0, "wrappers": 5.0, "excess": 1.0, "shared_bodies": 0.1}
    assert evidence(CAMPAIGN | {"queue": queue})[-1].endswith(
        "10% of the prompts came from several tenants to the letter"
    )
    told = evidence(CAMPAIGN | {"queue": queue | {"dealt": 0.9}})[-1]
    assert told.endswith("90% have a wrapper that a twentieth of the members carry")


@pytest.mark.parametrize("form", ["json", "html", "pdf"])
def test_every_form_verifies_and_a_changed_one_does_not(folder: Path, form: str) -> None:
    out = written(folder, form, "--sign", folder / "key")
    ok = stillwatch("dossier", "verify", out, "--verify-key", folder / "key.pub", "--from", folder)
    assert "ok, signed by key" in ok.output
    assert ok.exit_code == 0, ok.output
    wrong = stillwatch("dossier", "verify", out, "--verify-key", folder / "other.pub")
    assert wrong.exit_code == 1
    assert "which is not trusted here" in wrong.output
    content = out.read_bytes()
    at = content.rindex(b"0.8123") + 2
    out.write_bytes(content[:at] + b"9" + content[at + 1 :])
    changed = stillwatch("dossier", "verify", out, "--verify-key", folder / "key.pub")
    assert changed.exit_code == 1
    assert "the content is not what its hash was made of" in changed.output
    assert "not what key" in changed.output


def test_a_page_whose_text_alone_was_changed_is_told(folder: Path) -> None:
    out = written(folder, "html")
    out.write_text(out.read_text().replace("with confidence 0.81", "with confidence 0.11", 1))
    done = stillwatch("dossier", "verify", out)
    assert (done.exit_code, done.output) == (1, f"{out}: the text is not what its document makes\n")


def test_a_redacted_dossier_verifies_and_says_that_it_names_no_records(folder: Path) -> None:
    out = written(folder, "json", "--redacted", "--sign", folder / "key")
    assert stillwatch("dossier", "verify", out, "--verify-key", folder / "key.pub").exit_code == 0
    compared = stillwatch("dossier", "verify", out, "--from", folder)
    assert compared.exit_code == 2
    assert "names no records to compare" in compared.output


def test_a_log_that_was_changed_later_is_told(folder: Path) -> None:
    out = written(folder, "json")
    assert "not signed: anybody may have made it" in stillwatch("dossier", "verify", out, "--from", folder).output
    lines = (folder / "decisions.jsonl").read_bytes()
    (folder / "decisions.jsonl").write_bytes(lines.replace(b'"block"', b'"allow"', 1))
    done = stillwatch("dossier", "verify", out, "--from", folder)
    assert (done.exit_code, done.output) == (1, f"{out}: decisions.jsonl, line 1: the log has another\n")


ENTRIES = st.lists(st.builds(Entry, st.text(max_size=5), st.binary(max_size=5), st.none() | st.binary(max_size=5)))


@given(ENTRIES, st.data())
def test_a_chain_shows_any_record_changed_moved_or_left_out(entries: list[Entry], data: st.DataObject) -> None:
    told = chain(entries)
    assert broken_link(told) is None
    unique = {entry.place: entry for entry in entries}
    if len(unique) == len(entries):
        assert differences(told, entries) == []
    if entries:
        place = data.draw(st.integers(0, len(entries) - 1))
        shorter = {**told, "records": told["records"][:place] + told["records"][place + 1 :]}
        assert broken_link(shorter)
        changed = [dict(one) for one in told["records"]]
        changed[place]["sha256"] = "00" * 32
        assert broken_link({**told, "records": changed})


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield str(key)
            yield from texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from texts(inside)
    else:
        yield str(value)


def test_outsiders_learn_of_no_customer_and_no_value() -> None:
    told = redact(document(), Pseudonyms(bytes(32)))
    words = re.compile("|".join(rf"(?<![\w-]){re.escape(secret)}(?![\w-])" for secret in SECRETS))
    sealed = seal(told, None)
    assert not [text for text in texts(told) if words.search(text)]
    assert not words.search(pages.render(sealed))
    assert papers.read_paper(papers.render(sealed)) == sealed
    assert told["members"][0]["joined_at"] == "2025-06-01T10:00:00+00:00"
    assert (told["links"][0]["members"], told["links"][0]["others"], told["links"][1]["members"]) == (10, 10, 10)
    assert told["chain"]["head"] == document()["chain"]["head"]
    assert broken_link(told["chain"]) is None


def test_pseudonyms_are_stable_within_a_document_and_differ_between_two() -> None:
    one, again, other = (redact(document(), Pseudonyms(key)) for key in (bytes(32), bytes(32), b"1" * 32))
    assert one["members"] == again["members"]
    names = [{member["tenant_id"] for member in told["members"]} for told in (one, other)]
    assert len(names[0]) == len(TENANTS)
    assert names[0].isdisjoint(names[1])


def test_members_of_a_small_campaign_are_not_listed_outside() -> None:
    small = {**CAMPAIGN, "members": CAMPAIGN["members"][:3]}
    told = redact(compose(Sources(small, [], [], None), MADE_AT), Pseudonyms(bytes(32)))
    assert (told["size"]["members"], told["members"]) == (10, [])
    assert "of about 10 accounts" in told["summary"][0]
    assert "<h2>Members</h2>" not in pages.render(seal(told, None))


@pytest.mark.parametrize(("count", "told"), [(0, 0), (1, 10), (9, 10), (14, 10), (88, 90), (1_234, 1_200)])
def test_counts_are_rounded(count: int, told: int) -> None:
    assert rounded(count) == told


def test_pages_have_no_scripts_and_escape_everything() -> None:
    page = pages.render(seal(document(), None))
    assert "<script" not in page
    assert "tenant-<0>" not in page
    assert "tenant-&lt;0&gt;" in page
    assert not re.search(r"(src|href)=", page)


def test_what_is_no_dossier_is_one_line(folder: Path) -> None:
    for name, content in {"a": b"{}", "b": b"<p>", "c": b"%PDF-1.4", "d": b"\xff\xfe", "e": b"[]"}.items():
        (folder / name).write_bytes(content)
        done = stillwatch("dossier", "verify", folder / name)
        assert (done.exit_code, len(done.output.splitlines())) == (1, 1), name
    absent = stillwatch("dossier", "verify", folder / "absent")
    assert (absent.exit_code, absent.output) == (2, f"{folder / 'absent'}: No such file or directory\n")
    unsigned = stillwatch("campaigns", "dossier", "c-1", "--from", folder, "--sign", folder / "key")
    assert (unsigned.exit_code, unsigned.output) == (2, "--redacted and --sign need --format json, html or pdf\n")
