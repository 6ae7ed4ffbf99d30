"""Campaigns as people and programs read them (``schemas/campaign``): a header, and an entry for every member."""

from collections.abc import Iterable, Iterator
from typing import Any

from stream_app.detection.campaigns.records import Campaign, Member, Status, Word
from stream_app.detection.campaigns.verdicts import barred_by, may_challenge
from stream_app.detection.explanations import rfc3339

#: What stands on the campaigns topic: entries by key.
Entries = dict[str, dict[str, Any]]


def plain_header(campaign: Campaign) -> dict[str, Any]:
    """A campaign without its members: its evidence in nats, what its members share, and what concerns partners."""
    plain = {
        "campaign_id": campaign.campaign_id,
        "kind": campaign.kind.value,
        "status": campaign.status.value,
        "confidence": campaign.confidence,
        "first_alert_time": rfc3339(campaign.first_alert_ms),
        "confirmed_time": rfc3339(campaign.confirmed_ms) if campaign.confirmed_ms else None,
        "aliases": list(campaign.aliases),
        "evidence": [
            {"group": group, "nats": proof.nats, "control_nats": proof.control, "members": proof.provers}
            for group, proof in sorted(campaign.proofs.items(), key=lambda entry: -entry[1].nats)
        ],
        "priority": campaign.priority,
        **({} if campaign.word is None else {"feedback": _plain_word(campaign.word)}),
        "pooled": list(campaign.pooled),
        "explanations": list(campaign.findings.explanations),
        "queue": campaign.findings.queue._asdict(),
        "values": [
            {"kind": kind, "value": value, "members": inside, "tenants": everywhere}
            for kind, value, inside, everywhere in campaign.top_values
        ],
    }
    if campaign.status is Status.CONFIRMED and (bar := barred_by(campaign)) and not may_challenge(campaign):
        plain["watched_only"] = bar.value
    if campaign.findings.dealing.accounts:
        plain["dealing"] = {"is_even": campaign.is_even, **campaign.findings.dealing._asdict()}
    if campaign.tokens:
        plain["tokens_taken"] = campaign.tokens
    if campaign.partners:
        plain["partners"] = list(campaign.partners)
    if campaign.shared_until_ms:
        plain["shared_until"] = rfc3339(campaign.shared_until_ms)
    if campaign.shared is not None:
        is_proved = campaign.is_proved or "content" in campaign.proofs
        plain["shared"] = {"key_id": campaign.shared.key_id, "is_proved": is_proved, "values": campaign.shared.values}
    return plain


def _plain_word(word: Word) -> dict[str, Any]:
    return {
        "is_confirmed": word.is_confirmed,
        "by": word.by,
        "at": rfc3339(word.at_ms),
        "expires_at": None if word.until_ms is None else rfc3339(word.until_ms),
        "foreseen": word.foreseen,
    }


def plain_member(member: Member) -> dict[str, Any]:
    """One member with its evidence."""
    return {
        "tenant_id": member.tenant_id,
        "posterior": member.posterior,
        "role": member.role.value,
        "joined_at": rfc3339(member.joined_ms),
        "nats": member.nats,
    }


def entries_of(campaigns: Iterable[Campaign]) -> Entries:
    """All entries of these campaigns: keyed by campaign, and by campaign and member."""
    found: Entries = {}
    for campaign in campaigns:
        found[campaign.campaign_id] = plain_header(campaign) | {"member_count": len(campaign.members)}
        for member in campaign.members.values():
            entry = {"campaign_id": campaign.campaign_id} | plain_member(member)
            found[f"{campaign.campaign_id}/{member.tenant_id}"] = entry
    return found


def changed_entries(before: Entries, after: Entries) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """What has to be written, by key: members before their header, and nothing for what is no more."""
    for key in sorted({*before, *after}, key=lambda key: ("/" not in key, key)):
        if before.get(key) != after.get(key):
            yield key, after.get(key)
