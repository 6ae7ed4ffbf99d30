"""Campaigns as values: what is known of one, its members, and what the tenant stage is told."""

from enum import StrEnum

from msgspec import Struct, field

from stream_app.detection.campaigns.confirmation import CampaignKind, Findings
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.indicators import Shared
from stream_app.detection.campaigns.proofs import Proof
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.signatures import Signature


class Status(StrEnum):
    """How far a verdict stands."""

    CANDIDATE = "candidate"
    CONFIRMED = "confirmed"
    RETRACTED = "retracted"
    DISMISSED = "dismissed"


class Bar(StrEnum):
    """What a confirmed campaign lacks for anybody of it to be denied anything.

    Content; proof of our own beside partners'; links that hold it; an origin, how all of its accounts came to be; many
    cards and devices, where it is at a few sites or has a client of its own; or a time without an ordinary explanation,
    though that may be chance.
    """

    CONTENT = "no_content"
    PARTNERS = "partners"
    LINKS = "no_links"
    ORIGIN = "no_origin"
    ORGANISATION = "organisation"
    EXPLAINED = "explained"


#: Ticks in a row with an ordinary explanation, or without the looks of an organisation, that count: an hour.
DOUBTS = 6


class Member(Struct):
    """One tenant of a campaign: probability, role, since when (event time), and nats by group of links.

    ``reached_ms`` is when its evidence last reached the role.
    """

    tenant_id: str
    posterior: float
    role: Role
    joined_ms: int
    nats: dict[str, float]
    reached_ms: int = 0


class Word(Struct):
    """What a person said of a campaign of so many members (``size``), and how likely a confirmation was ``foreseen``.

    ``until_ms`` is event time, none for good.
    """

    is_confirmed: bool
    by: str
    at_ms: int
    until_ms: int | None
    size: float
    foreseen: float


class Campaign(Struct):
    """One campaign for life. Evidence once proved stays (``proofs``, ``pooled``), unless outgrown.

    ``is_listed`` says whether anybody was told; ``first_alert_ms`` when. ``doubts`` counts ticks in a row with an
    ordinary explanation. ``nats`` is what its members have in common, in all; ``controls`` what control groups had, of
    ``control_size`` tenants at ``control_ms``; ``checked_size`` is the pool's size when it was last searched for
    cliques, at ``checked_ms``. ``priority`` is how likely a person is to confirm it, and ``word`` what one said.
    ``partners`` see a part of it, too; until ``shared_until_ms`` it is confirmed thanks to them, and only watched.
    ``is_proved`` says that members here carry the skeletons that partners named, and ``shared`` is what they may be
    told, if anything. ``tokens`` is what its members have taken in all.
    ``organised`` counts down the ticks for which it passes for an organisation's, since it last looked like that.
    ``is_even``: its queue was shown to leave the accounts no say in what they ask, and how often.
    """

    campaign_id: str
    begun_ms: int
    pool: Pool
    kind: CampaignKind = CampaignKind.COHORT
    status: Status = Status.CANDIDATE
    is_listed: bool = False
    first_alert_ms: int = 0
    confirmed_ms: int = 0
    doubts: int = 0
    organised: int = 0
    nats: float = 0.0
    proofs: dict[str, Proof] = field(default_factory=dict)
    pooled: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    members: dict[str, Member] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    top_values: list[tuple[str, str, int, int]] = field(default_factory=list)
    signature: Signature | None = None
    controls: dict[str, float] = field(default_factory=dict)
    control_size: int = 0
    control_ms: int = 0
    checked_size: float = 0.0
    checked_ms: int = 0
    priority: float = 0.5
    word: Word | None = None
    partners: list[str] = field(default_factory=list)
    shared_until_ms: int = 0
    is_proved: bool = False
    shared: Shared | None = None
    tokens: int = 0
    is_even: bool = False

    @property
    def is_vouched(self) -> bool:
        """Whether a person has confirmed it."""
        return self.word is not None and self.word.is_confirmed

    @property
    def confidence(self) -> float:
        """How sure the verdict is, 0 to 1: by the weakest of its proofs, halved while it is a candidate."""
        margin = min((proof.nats - proof.control for proof in self.proofs.values()), default=0.0)
        sure = margin / (margin + 30.0) if margin > 0 else 0.0
        return round(sure if self.status is Status.CONFIRMED else sure / 2, 4)


class Verdict(Struct, frozen=True):
    """What the campaign stage holds of one tenant; ``role`` is after the harm budget, and none ends it.

    ``kind`` bounds what may follow; ``at_ms`` is event time, ``since_ms`` that of the first that said the same, 0 on
    arrival. ``is_dismissed``: a person ended it.
    """

    tenant_id: str
    campaign_id: str
    kind: CampaignKind
    role: Role | None
    posterior: float
    nats: dict[str, float]
    at_ms: int
    since_ms: int = 0
    is_dismissed: bool = False
