"""Campaigns as lines of ``campaigns.jsonl``."""

from typing import Any

from stream_app.detection.campaigns.entries import plain_header, plain_member
from stream_app.detection.campaigns.records import Campaign


def plain_campaign(campaign: Campaign) -> dict[str, Any]:
    """One campaign with its members, its evidence in nats and what its members share, the surest member first."""
    members = sorted(campaign.members.values(), key=lambda member: (-member.posterior, member.tenant_id))
    return plain_header(campaign) | {"members": [plain_member(member) for member in members]}
