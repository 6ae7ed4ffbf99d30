"""What people made of campaigns: their word stands, and what it teaches ranks what they are shown next."""

from collections.abc import Iterable
from math import log2

from msgspec import Struct

from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.links import GROUPS
from stream_app.detection.campaigns.records import Campaign, Status, Verdict, Word
from stream_app.detection.operators import Feedback

#: Opinions remembered, the newest; a person has three campaigns a day to look at.
MAX_OPINIONS = 500
#: Few opinions must count, and none for ever: one moves a campaign like it from .5 to about .6.
_LEARNING_RATE, _FORGETTING = 0.15, 0.005
#: Automatic verdicts that people have dismissed before others like them wait for a person, and how unlikely a
#: confirmation must have become: four of five that looked so were dismissed.
MIN_DISMISSED, UNLIKELY = 3, 0.2
#: A dismissal is of what a person saw: it ends when the pool has so many times the members.
OUTGROWN = 2.0


class Opinion(Struct, array_like=True):
    """What one campaign looked like when a person judged it, and what was foreseen."""

    features: dict[str, float]
    is_confirmed: bool
    was_automatic: bool


class Ranking:
    """How likely a person is to confirm a campaign: River's logistic regression over the opinions, in their order.

    Learned anew from the opinions at each look: 500 take some ten milliseconds, and no model has to be stored.
    """

    def __init__(self, opinions: Iterable[Opinion]) -> None:
        # With River's linear models comes all of scipy.stats, for which no command and no restarted worker need wait.
        from river.linear_model import LogisticRegression  # noqa: PLC0415
        from river.optim import SGD  # noqa: PLC0415

        self._model = LogisticRegression(optimizer=SGD(_LEARNING_RATE), l2=_FORGETTING)
        self._dismissed = 0
        for opinion in opinions:
            self._model.learn_one(opinion.features, opinion.is_confirmed)
            self._dismissed += opinion.was_automatic and not opinion.is_confirmed

    def priority(self, campaign: Campaign) -> float:
        """Probability, 0..1; .5 before anybody has said anything."""
        return round(float(self._model.predict_proba_one(features_of(campaign))[True]), 4)  # type: ignore[no-untyped-call]

    def is_for_a_person(self, campaign: Campaign) -> bool:
        """Whether a verdict that would be automatic looks like those that people dismissed."""
        return self._dismissed >= MIN_DISMISSED and self.priority(campaign) < UNLIKELY


def features_of(campaign: Campaign) -> dict[str, float]:
    """What a campaign looks like, each from 0 to about 1."""
    size = max(campaign.pool.size, 1.0)
    proofs, found = campaign.proofs, campaign.findings
    return {
        "members": log2(size) / 14,
        "pooled": len(campaign.pooled) / 3,
        "dealt": float(found.queue.is_dealt),
        "shared_bodies": found.queue.shared_bodies,
        "explanations": min(len(found.explanations), 2) / 2,
        **{group: min(proofs[group].provers / size, 1.0) if group in proofs else 0.0 for group in GROUPS},
    }


def hear(
    campaign: Campaign, opinions: dict[str, Opinion], told: dict[str, Verdict], feedback: Feedback, now_ms: int
) -> list[Verdict]:
    """Take in what a person says of a campaign; the verdicts that this ends at once.

    A confirmed one may be acted on from the next look on, whatever could explain it. Of a dismissed one everybody is
    let go now, and it says nothing more until the dismissal ends.
    """
    foreseen = Ranking(opinion for key, opinion in opinions.items() if key != campaign.campaign_id).priority(campaign)
    was_automatic = campaign.confirmed_ms > 0 and (campaign.word is None or not campaign.word.is_confirmed)
    before = opinions.pop(campaign.campaign_id, None)
    opinions[campaign.campaign_id] = Opinion(
        before.features if before else features_of(campaign),
        feedback.is_confirmed,
        before.was_automatic if before else was_automatic,
    )
    for old in list(opinions)[:-MAX_OPINIONS]:
        del opinions[old]
    campaign.word = Word(
        is_confirmed=feedback.is_confirmed,
        by=feedback.record.by,
        at_ms=round(feedback.record.at.timestamp() * 1000),
        until_ms=feedback.expires_ms,
        size=campaign.pool.size,
        foreseen=foreseen,
    )
    campaign.doubts = 0
    campaign.is_listed, campaign.first_alert_ms = True, campaign.first_alert_ms or now_ms
    if feedback.is_confirmed:
        campaign.status, campaign.confirmed_ms = Status.CONFIRMED, campaign.confirmed_ms or now_ms
        follow_person(campaign)
        return []
    campaign.status, campaign.signature = Status.DISMISSED, None
    return _let_go(campaign, told, now_ms)


def _let_go(campaign: Campaign, told: dict[str, Verdict], now_ms: int) -> list[Verdict]:
    mine = [verdict for verdict in told.values() if verdict.campaign_id == campaign.campaign_id]
    for verdict in mine:
        del told[verdict.tenant_id]
    ended = [
        Verdict(verdict.tenant_id, verdict.campaign_id, verdict.kind, None, 0.0, {}, now_ms, is_dismissed=True)
        for verdict in mine
        if verdict.role is not None
    ]
    return sorted(ended, key=lambda verdict: verdict.tenant_id)


def end_dismissal(campaign: Campaign, now_ms: int) -> None:
    """Make a dismissed campaign a candidate again when its time is over, or when it is no longer what a person saw."""
    word = campaign.word
    if campaign.status is not Status.DISMISSED or word is None:
        return
    is_over = word.until_ms is not None and now_ms >= word.until_ms
    if is_over or campaign.pool.size > OUTGROWN * word.size:
        campaign.status, campaign.word, campaign.kind = Status.CANDIDATE, None, CampaignKind.COHORT


def follow_person(campaign: Campaign) -> None:
    """Name the kind of a campaign that a person has confirmed, by what has been proved of it so far."""
    has_content = "content" in campaign.proofs
    campaign.kind = CampaignKind.DISTILLATION if has_content else CampaignKind.ACCOUNT_NETWORK
