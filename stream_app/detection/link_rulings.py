"""What a campaign's members share becomes a decision of its own: replacements are met at their first request."""

from collections.abc import Iterable, Iterator, MutableMapping
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, Struct

from stream_app.detection.campaigns.links import Population
from stream_app.detection.campaigns.profiles import Flags, Profiles
from stream_app.detection.campaigns.records import Campaign
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.verdicts import may_act
from stream_app.detection.decisions import (
    Action,
    Decision,
    ModelRef,
    PolicyRef,
    Reason,
    decision_id,
    split_key,
    tenant_subject,
)
from stream_app.detection.effects import ForgetDecision
from stream_app.detection.explanations import rfc3339
from stream_app.detection.policy import Policy

MODEL = ModelRef("campaign_links", "1")
#: Kinds of links by the scope of the decision.
SCOPES = {"payment_fp": "payment", "signup_fp": "signup", "ip_prefix": "prefix"}
#: A decision is told again every hour, as long as the value is found; one missed repetition lets nobody go.
RENEW_MS = 3_600_000
HOLD_MS = 2 * RENEW_MS
#: A value that a person has released is left alone for so long: as long as a dismissed campaign is likely to be about.
MUTED_MS = 30 * 86_400_000
#: A release outlives every decision before it, and the day for which the topic keeps a tombstone.
RELEASE_MS = 2 * 86_400_000


class SharedLink(NamedTuple):
    """A value to decide on: how many of a campaign's act set carry it, and how many who are no members."""

    scope: str
    value: str
    campaign_id: str
    confidence: float
    members: int
    outsiders: int

    @property
    def key(self) -> str:
        """Key on the control topic."""
        return f"{self.scope}:{tenant_subject(self.value)}"


class LinkStanding(Struct):
    """What was last decided on a value, by its key on the control topic."""

    action: Action
    simulated: bool
    campaign_id: str
    told_ms: int
    expires_ms: int
    decision_id: str
    muted_until_ms: int = 0


Standings = MutableMapping[str, LinkStanding]


def rule_links(
    standings: Standings, policy: Policy, found: Iterable[SharedLink], now_ms: int
) -> Iterator[Decision | ForgetDecision]:
    """Decide on the values found, and release what is no longer among them; ``standings`` are brought up to date.

    Deterministic: revisions are seconds of event time, which rise from tick to tick. Bounded by the values that carry
    a decision or have been released within two days.
    """
    by_key = {link.key: link for link in found}
    for key in sorted(by_key.keys() | standings.keys()):
        standing = standings.get(key)
        if standing is not None and now_ms < standing.muted_until_ms:
            continue
        if (link := by_key.get(key)) is not None:
            if _is_news(link, standing, policy, now_ms):
                yield _enter(standings, link, policy, now_ms)
        elif standing is not None and standing.action is not Action.ALLOW:
            yield _release(standings, key, policy, now_ms)
        elif standing is not None and now_ms >= standing.expires_ms:
            del standings[key]
            yield ForgetDecision(key)


def release_links(standings: Standings, policy: Policy, campaign_id: str, now_ms: int) -> Iterator[Decision]:
    """Release everything that was decided for one campaign."""
    for key in sorted(standings):
        standing = standings[key]
        if standing.campaign_id == campaign_id and standing.action is not Action.ALLOW:
            yield _release(standings, key, policy, max(now_ms, standing.told_ms + 1000))


def release_link(standings: Standings, policy: Policy, key: str, now_ms: int) -> Decision | None:
    """Release one value at a person's word and leave it alone; nothing when nothing holds of it.

    It expires at once, as every release of a person does, so that it shields nobody from other decisions.
    """
    standing = standings.get(key)
    if standing is None or standing.action is Action.ALLOW:
        return None
    now_ms = max(now_ms, standing.told_ms + 1000)
    made = _release(standings, key, policy, now_ms)
    standings[key].muted_until_ms = now_ms + MUTED_MS
    by = PolicyRef(policy.version, "operator:release")
    return msgspec.structs.replace(made, origin="operator", simulated=False, policy=by, expires_at=made.issued_at)


def shared_links(
    campaigns: Iterable[Campaign], population: Population, profiles: Profiles, policy: Policy, now_ms: int
) -> list[SharedLink]:
    """Values that the policy lets decide on: an act set shares them, and hardly anybody else.

    A value that a tenant on the allow-list carries is left alone. Of two campaigns the one with more members counts.
    """
    rules = policy.links
    if rules is None:
        return []
    places = {profiles.tenant_ids[row]: place for place, row in enumerate(population.rows)}
    allowed = _flags(_allowed_tenants(policy, now_ms), places)
    found: dict[str, SharedLink] = {}
    for campaign in filter(may_act, campaigns):
        members = _flags(campaign.members, places)
        acted = _flags((one.tenant_id for one in campaign.members.values() if one.role is not Role.MEMBER), places)
        for scope, kind in SCOPES.items():
            if getattr(rules, scope) is None:
                continue
            links = population.links[kind]
            count = len(links.degree)
            inside, known, spared = (
                np.bincount(links.cols, weights=flags[links.rows], minlength=count)
                for flags in (acted, members, allowed)
            )
            outside = links.degree - known
            for col in np.flatnonzero((inside >= rules.at_least) & (outside <= rules.outsiders) & (spared == 0)):
                name = profiles.names.get(int(links.values[col]))
                if name is None:
                    continue
                link = SharedLink(
                    scope, name, campaign.campaign_id, campaign.confidence, int(inside[col]), int(outside[col])
                )
                if link.key not in found or found[link.key].members < link.members:
                    found[link.key] = link
    return sorted(found.values(), key=lambda link: link.key)


def _flags(tenant_ids: Iterable[str], places: dict[str, int]) -> Flags:
    flags = np.zeros(len(places), np.bool_)
    flags[[places[tenant_id] for tenant_id in tenant_ids if tenant_id in places]] = True
    return flags


def _allowed_tenants(policy: Policy, now_ms: int) -> Iterator[str]:
    """Tenants that are on the allow-list, or have an account on it."""
    for entry in policy.allow_list:
        if now_ms < entry.until_ms:
            yield split_key(entry.subject)[1][0]


def _is_news(link: SharedLink, standing: LinkStanding | None, policy: Policy, now_ms: int) -> bool:
    wanted = (_action(link, policy), _is_simulated(policy), link.campaign_id)
    told = standing and (standing.action, standing.simulated, standing.campaign_id)
    return standing is None or told != wanted or now_ms - standing.told_ms >= RENEW_MS


def _action(link: SharedLink, policy: Policy) -> Action:
    return Action(getattr(policy.links, link.scope))


def _is_simulated(policy: Policy) -> bool:
    return policy.simulated or policy.links is None or policy.links.mode == "shadow"


def _enter(standings: Standings, link: SharedLink, policy: Policy, now_ms: int) -> Decision:
    action, simulated, rules = _action(link, policy), _is_simulated(policy), policy.links
    assert rules is not None  # noqa: S101
    reasons = [
        Reason("link_members", link.members, 0.0, "members", 0, link.confidence),
        Reason("link_outsiders", link.outsiders, float(rules.outsiders), "tenants", 0, link.confidence),
    ]
    counterfactual = (
        f"would not have fired with fewer than {rules.at_least} of the act set of campaign {link.campaign_id} "
        f"carrying it, or more than {rules.outsiders} others"
    )
    return _tell(
        standings,
        link.key,
        LinkStanding(action, simulated, link.campaign_id, now_ms, now_ms + HOLD_MS, ""),
        policy,
        reasons,
        counterfactual,
    )


def _release(standings: Standings, key: str, policy: Policy, now_ms: int) -> Decision:
    before = standings[key]
    released = LinkStanding(Action.ALLOW, before.simulated, before.campaign_id, now_ms, now_ms + RELEASE_MS, "")
    return _tell(standings, key, released, policy, [], None)


def _tell(  # noqa: PLR0917
    standings: Standings,
    key: str,
    standing: LinkStanding,
    policy: Policy,
    reasons: list[Reason],
    counterfactual: str | None,
) -> Decision:
    scope, _, subject = key.partition(":")
    before = standings.get(key)
    standing.decision_id = decision_id(key, standing.campaign_id, standing.action, standing.told_ms)
    standings[key] = standing
    return Decision(
        decision_id=standing.decision_id,
        scope=scope,
        subject=subject,
        tenant_id="",
        action=standing.action,
        simulated=standing.simulated,
        origin="detector",
        reasons=reasons,
        counterfactual=counterfactual or UNSET,
        campaign_id=standing.campaign_id,
        policy=PolicyRef(policy.version, standing.action),
        model=MODEL,
        issued_at=rfc3339(standing.told_ms),
        expires_at=rfc3339(standing.expires_ms),
        revision=standing.told_ms // 1000,
        supersedes=before.decision_id if before else UNSET,
        runbook_url=policy.runbook_url or UNSET,
    )
