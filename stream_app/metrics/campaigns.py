"""What the campaign stage tells of its ticks and of campaigns, by kind and status, never by name."""

from collections import Counter as Tallied
from collections.abc import Sequence
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.records import Campaign, Status

#: Seconds; a tick of 10,000 tenants takes two, one of 100,000 should stay below twenty.
_TICK_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


class CampaignMetrics:
    """Set after each tick; on workers of the tenant stage all of it stays 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tick_seconds = Histogram(
            "stillwatch_tick_seconds",
            "A tick of the campaign stage with the signals read with it",
            buckets=_TICK_BUCKETS,
            registry=registry,
        )
        self.reported = Gauge("stillwatch_campaigns", "Campaigns reported, candidates included", registry=registry)
        by_status = Gauge(
            "stillwatch_campaigns_by_status", "Campaigns by kind and status", ["kind", "status"], registry=registry
        )
        self._by_status = {
            (kind, status): by_status.labels(kind.value, status.value) for kind, status in product(CampaignKind, Status)
        }
        members = Gauge(
            "stillwatch_campaign_members", "Members of confirmed campaigns, by kind", ["kind"], registry=registry
        )
        self._members = {kind: members.labels(kind.value) for kind in CampaignKind}
        posts = Counter(
            "stillwatch_alert_posts", "Posts of campaigns to Alertmanager, by outcome", ["outcome"], registry=registry
        )
        self._posts = {outcome: posts.labels(outcome) for outcome in ("sent", "failed")}

    def show(self, campaigns: Sequence[Campaign]) -> None:
        """Count campaigns as they are after a tick."""
        counts = Tallied((campaign.kind, campaign.status) for campaign in campaigns)
        members: Tallied[CampaignKind] = Tallied()
        for campaign in campaigns:
            members[campaign.kind] += len(campaign.members) if campaign.status is Status.CONFIRMED else 0
        for key, gauge in self._by_status.items():
            gauge.set(counts[key])
        for kind, series in self._members.items():
            series.set(members[kind])

    def count_post(self, *, is_sent: bool) -> None:
        """Count a try to post to Alertmanager."""
        self._posts["sent" if is_sent else "failed"].inc()
