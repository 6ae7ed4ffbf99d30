"""A stream of one world, divided among providers that know nothing of each other but what their bundles tell."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, Struct, field

from stream_app.detection.campaigns.records import Status
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.events import Event, is_served
from stream_app.detection.operators import Learn, parse_operator
from stream_app.detection.signals import Gathering, Signal
from stream_app.reports.campaigns import plain_campaign
from stream_app.sharing.bundles import NothingToShareError, Terms, bundle_of
from stream_app.sharing.keys import exchange_of
from stream_app.sharing.readings import read_bundle
from stream_app.signatures import Purpose, Signer, Verifier
from stream_app.simulate.campaigns.worlds import World
from stream_app.sketches import Key

NAMES = ("north", "east", "south")
HOUR_MS = 3_600_000
#: Looks of the stage are a matter of cost here: every six hours, and so is the exchange.
LOOK_MS = 6 * HOUR_MS
#: Before that the campaign has not begun, or hardly.
FIRST_LOOK_MS = 24 * HOUR_MS
SHARED_KEY = Key("exchange-1", b"agreed upon by three providers..")


class Stream(Struct):
    """What one provider sees, in signals, and the truth; ``raw`` are ids and values in the clear."""

    name: str
    signals: list[Signal] = field(default_factory=list)
    members: dict[str, int] = field(default_factory=dict)
    raw: set[str] = field(default_factory=set)


def divided(world: World, seed: int) -> list[Stream]:
    """The world's tenants by chance among the providers, each with sketches under a key of its own and the shared one.

    ``members`` has when each account of the campaign was first seen. The wire format of a signal is passed.
    """
    streams = [Stream(name) for name in NAMES]
    gathered: dict[str, Gathering] = {}
    first_ms: dict[str, int] = {}
    for plain in world.events():
        event = msgspec.convert(plain, Event)
        place = _place(event.tenant_id, seed)
        stream, now_ms = streams[place], round(event.time.timestamp() * 1000)
        first_ms.setdefault(event.tenant_id, now_ms)
        _note_raw(stream.raw, event)
        if not is_served(event.status_code):
            continue
        gathering = gathered.setdefault(event.tenant_id, Gathering())
        gathering.add(_sketched(event, place), now_ms)
        if gathering.is_due(now_ms):
            stream.signals.append(gathering.take(event.tenant_id, 0, now_ms))
    for tenant_id, gathering in gathered.items():
        if gathering.requests:
            signal = gathering.take(tenant_id, 0, gathering.newest_ms)
            streams[_place(tenant_id, seed)].signals.append(signal)
    for label in world.labels():
        tenant_id = str(label["tenant_id"])
        if label["role"] == "campaign" and tenant_id in first_ms:
            streams[_place(tenant_id, seed)].members[tenant_id] = first_ms[tenant_id]
    for stream in streams:
        stream.signals.sort(key=lambda signal: (signal.pane_end_ms, signal.tenant_id))
    return streams


class Provider:
    """A campaign stage that looks every six hours; with ``partners`` it takes in what they told before."""

    def __init__(self, stream: Stream, signer: Signer, verifier: Verifier) -> None:
        self.stream = stream
        self.stage = CampaignStage()
        self.stage.exchange = exchange_of(SHARED_KEY)
        self.acted: set[str] = set()
        self._signer, self._verifier = signer, verifier
        self._waiting = iter(stream.signals)
        self._next: Signal | None = next(self._waiting, None)

    def look(self, now_ms: int) -> None:
        """Take all signals until then, and look."""
        verdicts = []
        while self._next is not None and self._next.pane_end_ms <= now_ms:
            verdicts += self.stage.take(self._next)
            self._next = next(self._waiting, None)
        verdicts += self.stage.look(now_ms)
        self.acted |= {one.tenant_id for one in verdicts if one.role in {Role.ACT, Role.BLOCK}}

    def told(self, now_ms: int) -> tuple[bytes, str] | None:
        """A signed bundle of everything that may leave, as ``indicators export --candidates`` makes it."""
        plain: list[dict[str, Any]] = [
            orjson.loads(orjson.dumps(plain_campaign(one)))
            for one in self.stage.campaigns
            if one.status in {Status.CONFIRMED, Status.CANDIDATE}
        ]
        try:
            content = bundle_of(plain, Terms(self.stream.name, _time(now_ms)))
        except NothingToShareError:
            return None
        return content, str(self._signer.sign(content, Purpose.INDICATORS))

    def learn(self, content: bytes, signature: str, now_ms: int) -> None:
        """Take a partner's bundle in, by way of the operator record that ``indicators import`` writes."""
        reading = read_bundle(content, signature, self._verifier, _time(now_ms))
        at, until = _time(now_ms).isoformat(), reading.valid_until.isoformat()
        record = {"id": "1", "type": "indicators", "reason": "exchange", "by": "benchmark", "at": at}
        learned = parse_operator(orjson.dumps(record | {"expires_at": until, "body": reading.body()}))
        assert isinstance(learned, Learn), learned
        self.stage.learn(learned.indicators)

    @property
    def confirmed(self) -> set[str]:
        """Members of everything that is confirmed."""
        return {who for one in self.stage.campaigns if one.status is Status.CONFIRMED for who in one.members}


def looks(streams: list[Stream]) -> Iterator[int]:
    """Times of all looks."""
    begin = min(stream.signals[0].pane_end_ms for stream in streams)
    end = max(stream.signals[-1].pane_end_ms for stream in streams)
    yield from range((begin + FIRST_LOOK_MS) // LOOK_MS * LOOK_MS, end + LOOK_MS, LOOK_MS)


def _place(tenant_id: str, seed: int) -> int:
    return int(np.frombuffer(blake2b(f"{seed}/{tenant_id}".encode(), digest_size=4).digest(), "<u4")[0]) % len(NAMES)


def _sketched(event: Event, place: int) -> Event:
    """The stream's sketches are of one key, here the shared one; the provider's own are made from them."""
    prompt = event.prompt
    if prompt is UNSET:
        return event
    own = Key(NAMES[place], NAMES[place].encode().ljust(32, b"."))
    templates = sorted(own.digest(b"template", text) for text in prompt.templates or ())
    plain = msgspec.to_builtins(event)
    shared = {"key_id": SHARED_KEY.key_id, "simhash": prompt.simhash, "templates": list(prompt.templates or ())}
    plain["prompt"] |= {"key_id": own.key_id, "templates": templates, "exchange": shared}
    return msgspec.convert(plain, Event)


def _note_raw(raw: set[str], event: Event) -> None:
    """Not countries: ``IN`` is also a word of STIX patterns."""
    raw |= {event.tenant_id, event.account_id}
    if event.client is not UNSET:
        raw |= {str(value) for name, value in msgspec.to_builtins(event.client).items() if name != "country"}
    if event.account is not UNSET:
        raw |= {value for value in (event.account.payment_fp, event.account.signup_fp) if value}


def _time(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
