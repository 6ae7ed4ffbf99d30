"""Campaigns as lines of ``campaigns.jsonl``."""

from typing import Any

from stream_app.detection.campaigns.records import Campaign, Member
from stream_app.detection.explanations import rfc3339


def plain_campaign(campaign: Campaign) -> dict[str, Any]:
    """One campaign with its members, its evidence in nats and what its members share, the surest member first."""
    members = sorted(campaign.members.values(), key=lambda member: (-member.posterior, member.tenant_id))
    return {
        "campaign_id": campaign.campaign_id,
        "kind": campaign.kind.value,
        "status": campaign.status.value,
        "confidence": campaign.confidence,
        "first_alert_time": rfc3339(campaign.first_alert_ms),
        "confirmed_time": rfc3339(campaign.confirmed_ms) if campaign.confirmed_ms else None,
        "aliases": campaign.aliases,
        "evidence": [
            {"group": group, "nats": proof.nats, "control_nats": proof.control, "members": proof.provers}
            for group, proof in sorted(campaign.proofs.items(), key=lambda entry: -entry[1].nats)
        ],
        "pooled": campaign.pooled,
        "explanations": campaign.findings.explanations,
        "queue": campaign.findings.queue._asdict(),
        "values": [
            {"kind": kind, "value": value, "members": inside, "tenants": everywhere}
            for kind, value, inside, everywhere in campaign.top_values
        ],
        "members": [_plain_member(member) for member in members],
    }


def _plain_member(member: Member) -> dict[str, Any]:
    return {
        "tenant_id": member.tenant_id,
        "posterior": member.posterior,
        "role": member.role.value,
        "joined_at": rfc3339(member.joined_ms),
        "nats": member.nats,
    }
