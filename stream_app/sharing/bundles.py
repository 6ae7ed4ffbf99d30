"""Campaigns to a STIX 2.1 bundle: keyed digests and counts, no ids of ours; the same campaigns give the same bytes."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import stix2

from stream_app.detection.campaigns.indicators import GROUP_OF, MAX_PARTS

#: Names everything made here; made up once.
NAMESPACE = UUID("6e1f2a2e-6c0b-5f0c-9d3b-0d5f5e7b9a41")
#: A campaign changes its addresses and cards within weeks, and whoever has them next is somebody else.
VALID_DAYS, MAX_VALID_DAYS = 14, 90
#: Our extension of STIX: which kind a digest is of, under which key, and how many members carry it.
EXTENSION = f"extension-definition--{uuid5(NAMESPACE, 'extension')}"
SCHEMA = "urn:stillwatch:indicators:v1"
#: Any time before all bundles: what is the same in every bundle is as old in every bundle.
_DEFINED = "2026-01-01T00:00:00.000Z"


class Tlp(StrEnum):
    """To whom a bundle may be passed on; RED is for the ears of a meeting, not for a topic that every worker reads."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"


MARKINGS = {Tlp.CLEAR: stix2.TLP_WHITE, Tlp.GREEN: stix2.TLP_GREEN, Tlp.AMBER: stix2.TLP_AMBER}


class NothingToShareError(Exception):
    """No campaign that was asked for may leave; the message says why."""


class Terms(NamedTuple):
    """Who tells, when, until when it holds, and who may hear of it."""

    provider: str
    at: datetime
    valid_days: int = VALID_DAYS
    tlp: Tlp = Tlp.AMBER


def bundle_of(campaigns: Iterable[dict[str, Any]], terms: Terms) -> bytes:
    """A bundle of campaigns as ``campaigns.jsonl`` or the campaigns topic has them.

    Of more than ``MAX_PARTS`` the surest are told. Raises ``NothingToShareError``.
    """
    told = [campaign for campaign in campaigns if campaign.get("shared", {}).get("values")]
    if not told:
        raise NothingToShareError(
            "no campaign may leave: none has rare values that several members carry, or no exchange key is set"
        )
    told.sort(key=lambda one: (one["status"] != "confirmed", -one["confidence"], one["campaign_id"]))
    provider = stix2.Identity(
        id=_id("identity", terms.provider),
        name=terms.provider,
        identity_class="organization",
        created=_DEFINED,
        modified=_DEFINED,
    )
    objects = [MARKINGS[terms.tlp], provider, _extension(provider.id)]
    for campaign in told[:MAX_PARTS]:
        objects += _part(campaign, terms, provider.id)
    name = "/".join([terms.provider, terms.at.isoformat(), *(one.id for one in objects)])
    bundle = stix2.Bundle(*objects, id=_id("bundle", name))
    return f"{bundle.serialize(pretty=True)}\n".encode()


def _part(campaign: dict[str, Any], terms: Terms, provider_id: str) -> Sequence[Any]:
    """A campaign, an indicator for each kind of value, and what joins them."""
    name = f"{terms.provider}/{campaign['campaign_id']}"
    shared = campaign["shared"]
    fields = {
        "created_by_ref": provider_id,
        "created": terms.at,
        "modified": terms.at,
        "confidence": round(100 * campaign["confidence"]),
        "object_marking_refs": [MARKINGS[terms.tlp].id],
    }
    whole = stix2.Campaign(
        id=_id("campaign", name),
        name=f"{campaign['kind']} ({campaign['status']})",
        extensions={EXTENSION: _told(members=len(campaign["members"]), is_proved=shared["is_proved"])},
        **fields,
    )
    found = [whole]
    for kind in (kind for kind in GROUP_OF if kind in shared["values"]):
        values = shared["values"][kind]
        digests = ", ".join(f"'{digest}'" for digest in sorted(values))
        indicator = stix2.Indicator(
            id=_id("indicator", f"{name}/{kind}"),
            name=f"{kind} under exchange key {shared['key_id']}",
            indicator_types=["malicious-activity"],
            pattern_type="stix",
            pattern=f"[x-stillwatch-{kind}:digest IN ({digests})]",
            valid_from=terms.at,
            valid_until=terms.at + timedelta(days=terms.valid_days),
            extensions={EXTENSION: _told(kind=kind, key_id=shared["key_id"], carriers=dict(sorted(values.items())))},
            **fields,
        )
        link = stix2.Relationship(
            id=_id("relationship", f"{name}/{kind}"),
            relationship_type="indicates",
            source_ref=indicator.id,
            target_ref=whole.id,
            **fields,
        )
        found += [indicator, link]
    return found


def _told(**values: object) -> dict[str, object]:
    return {"extension_type": "property-extension", **values}


def _extension(provider_id: str) -> Any:
    return stix2.ExtensionDefinition(
        id=EXTENSION,
        created_by_ref=provider_id,
        created=_DEFINED,
        modified=_DEFINED,
        name="Stillwatch indicators",
        schema=SCHEMA,
        version="1.0.0",
        extension_types=["property-extension"],
    )


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid5(NAMESPACE, f'{kind}/{name}')}"
