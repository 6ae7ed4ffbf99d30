"""What a pool amounts to together with what partners see of it: people are told, and nobody is acted on."""

from stream_app.detection.campaigns.confirmation import CampaignKind, kind_of
from stream_app.detection.campaigns.indicators import Exchange, Met, Partners, exchanged_links, shared_of
from stream_app.detection.campaigns.links import KINDS, Population
from stream_app.detection.campaigns.profiles import Floats, Profiles
from stream_app.detection.campaigns.proofs import MIN_NATS, MIN_PROVERS, MIN_PROVING_SHARE, PROOF
from stream_app.detection.campaigns.ratios import dot
from stream_app.detection.campaigns.records import Campaign, Status

#: Partners together vouch for so many times as many members as are seen here, and one of them for as many.
MOST_TIMES = 2
#: What a partner's own proof of a queue is worth where its part is kin: this share of what is asked, the rest is
#: measured here.
PROVED_ELSEWHERE = 0.5
#: Groups beside content that must be proved here, one of them a pool of hard links.
OWN_GROUPS = 2
_CONTENT_CAP = next(kind.cap for kind in KINDS if kind.name == "content")


def weigh_partners(campaign: Campaign, partners: Partners | None, now_ms: int) -> None:
    """Confirm a candidate whose links are proved here and whose content, or size, is proved only with partners.

    Such a verdict lasts as long as the indicators do; once its content is proved here, it needs them no more.
    """
    _settle(campaign, now_ms)
    met = [] if partners is None else partners.met_by(campaign.pool)
    campaign.partners = sorted({one.known.partner for one in met})
    is_open = campaign.status is Status.CANDIDATE or campaign.shared_until_ms > 0
    if (
        partners is None
        or not met
        or not is_open
        or not (campaign.pooled or campaign.findings.several)
        or len(campaign.proofs.keys() - {"content"}) < OWN_GROUPS
    ):
        return
    kind = _kind_with(campaign, partners, met)
    if kind is CampaignKind.COHORT:
        return
    campaign.kind = kind
    campaign.shared_until_ms = max(one.known.expires_ms for one in met)
    if campaign.status is Status.CANDIDATE:
        campaign.status, campaign.confirmed_ms = Status.CONFIRMED, now_ms
        campaign.first_alert_ms = campaign.first_alert_ms or now_ms
        campaign.is_listed = True


def share(campaigns: list[Campaign], people: Population, profiles: Profiles, exchange: Exchange | None) -> None:
    """Say what partners may be told: of campaigns that a person was told of, and that nothing ordinary explains."""
    for campaign in campaigns:
        campaign.shared = None
    told = [campaign for campaign in campaigns if _may_leave(campaign)]
    if exchange is not None and told:
        links = exchanged_links(people, profiles)
        for campaign in told:
            campaign.shared = shared_of(links, profiles, campaign.pool, exchange)


def _may_leave(campaign: Campaign) -> bool:
    is_open = campaign.status is Status.CANDIDATE and not campaign.findings.explanations
    return campaign.is_listed and (is_open or campaign.status is Status.CONFIRMED)


def _settle(campaign: Campaign, now_ms: int) -> None:
    """A verdict that partners helped to becomes our own, or a person's, or ends with what they told."""
    if not campaign.shared_until_ms:
        return
    alone = kind_of(campaign.findings, campaign.proofs.keys(), set(campaign.pooled), _members(campaign))
    if alone is CampaignKind.DISTILLATION or campaign.is_vouched or campaign.status is not Status.CONFIRMED:
        campaign.shared_until_ms = 0
    elif campaign.shared_until_ms <= now_ms:
        campaign.shared_until_ms = 0
        campaign.kind, campaign.status = alone, Status.CANDIDATE
        if alone is not CampaignKind.COHORT:
            campaign.status = Status.CONFIRMED


def _kind_with(campaign: Campaign, partners: Partners, met: list[Met]) -> CampaignKind:
    members = _members(campaign)
    vouched = sum(min(one.known.part.members, members) for one in met)
    groups = set(campaign.proofs)
    content = partners.content(campaign.pool, met)
    campaign.is_proved |= _is_content(campaign, content, 1.0)
    is_proved_elsewhere = any(one.known.part.is_proved for one in met)
    if campaign.is_proved or (is_proved_elsewhere and _is_content(campaign, content, PROVED_ELSEWHERE)):
        groups.add("content")
    pooled = {*campaign.pooled, *campaign.findings.several}
    return kind_of(campaign.findings, groups, pooled, members + min(vouched, MOST_TIMES * members))


def _is_content(campaign: Campaign, nats: Floats | None, part: float) -> bool:
    """Whether members carry partners' skeletons so much more often than our others that chance is no reason.

    ``part`` is how much of it is asked.
    """
    if nats is None:
        return False
    share, capped = campaign.pool.share, nats.clip(0.0, _CONTENT_CAP)
    provers = float(share[capped >= PROOF].sum())
    is_wide = provers >= part * max(MIN_PROVERS, MIN_PROVING_SHARE * campaign.pool.size)
    return bool(is_wide and dot(share, capped) >= part * MIN_NATS)


def _members(campaign: Campaign) -> int:
    return int((campaign.pool.share > 0.5).sum())
