"""What the tenant stage tells the campaign stage: a tenant's links, content and behaviour since its last signal."""

from msgspec import UNSET, Struct, UnsetType, field

from stream_app.detection.events import Account, Client, Event, Prompt
from stream_app.detection.windows import MAX_MODELS, OTHER_MODELS, PANE_MS

#: A campaign is a matter of minutes, and a signal costs both stages some ten microseconds.
SIGNAL_EVERY_MS = 300_000
#: Requests of one signal whose attributes are read; of a busier tenant the rest are only counted. Small enough to keep
#: a waiting profile within a kilobyte or two, and far more than an ordinary account sends in five minutes.
MAX_SAMPLED = 48
#: Distinct values kept of one link: a household has two or three address prefixes, a phone and a laptop two clients.
MAX_PREFIXES, MAX_CLIENTS, MAX_SYSTEMS, MAX_PROGRAMS = 8, 2, 4, 8
#: And of skeletons under the exchange key: those of some twenty prompts.
MAX_EXCHANGED = 32
#: Names of ``scores`` that are summed.
_SCORES = ("cot_elicitation", "jailbreak")


class PromptSketch(Struct, array_like=True, frozen=True, gc=False):
    """What is kept of one prompt: its SimHash (16 hex digits, or empty) and its skeletons."""

    simhash: str
    templates: list[str]


class Profile(Struct, omit_defaults=True, gc=False):
    """Links and content of a tenant since its last signal; what is absent is no evidence.

    ``created_ms`` is event time; ``ja4``, ``http_fps``, ``ip_prefixes`` and ``systems`` hold distinct values, newest
    last; so does ``exchanged``, skeletons under a key shared with partners. ``programs`` counts requests by how they
    were made (output limit and temperature), ``scores`` holds sums and ``scored`` how many requests they are of.
    ``refused`` counts answers the model refused, ``tokens`` the output tokens of all requests, sampled or not.
    """

    created_ms: int | UnsetType = UNSET
    payment_fp: str | UnsetType = UNSET
    payment_bin: str | UnsetType = UNSET
    signup_fp: str | UnsetType = UNSET
    ja4: list[str] = field(default_factory=list)
    http_fps: list[str] = field(default_factory=list)
    ip_prefixes: list[str] = field(default_factory=list)
    systems: list[str] = field(default_factory=list)
    prompts: list[PromptSketch] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)
    programs: dict[str, int] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    scored: int = 0
    refused: int = 0
    exchanged: list[str] = field(default_factory=list)
    tokens: int = 0


class Signal(Struct, frozen=True, gc=False):
    """A tenant's profile on its way to the campaign stage (``schemas/signal``).

    ``sequence`` rises within the tenant, ``pane_end_ms`` is the end of the last pane counted (event time), and
    ``requests`` counts since the tenant's previous signal.
    """

    tenant_id: str
    partition: int
    sequence: int
    pane_end_ms: int
    requests: int
    profile: Profile


class Gathering(Struct, array_like=True, gc=False):
    """What a tenant has yet to signal, at most some two kilobytes; ``sent_ms`` is when it last did (event time)."""

    sequence: int = 0
    sent_ms: int = -SIGNAL_EVERY_MS
    newest_ms: int = 0
    requests: int = 0
    profile: Profile = field(default_factory=Profile)

    def is_due(self, now_ms: int) -> bool:
        """Whether there is something to tell and it is time to."""
        return self.requests > 0 and now_ms - self.sent_ms >= SIGNAL_EVERY_MS

    def add(self, event: Event, time_ms: int, is_other_client: bool = True) -> None:
        """Take in an event: under two microseconds for one of the first ``MAX_SAMPLED``, a tenth of that after.

        ``is_other_client`` is whether the client may not be among the profile's yet.
        """
        self.requests += 1
        self.profile.tokens += event.output_tokens
        if time_ms > self.newest_ms:  # noqa: PLR1730 - a call less for every event
            self.newest_ms = time_ms
        if self.requests <= MAX_SAMPLED:
            _sample(self.profile, event, is_other_client)

    def take(self, tenant_id: str, partition: int, now_ms: int) -> Signal:
        """The signal; gathering begins anew."""
        pane_end_ms = (self.newest_ms // PANE_MS + 1) * PANE_MS
        signal = Signal(tenant_id, partition, self.sequence, pane_end_ms, self.requests, self.profile)
        self.sequence += 1
        self.sent_ms = now_ms
        self.requests = 0
        self.profile = Profile()
        return signal


def _sample(profile: Profile, event: Event, is_other_client: bool) -> None:
    _count(profile.models, event.model, MAX_MODELS, OTHER_MODELS)
    if event.account is not UNSET:
        _sample_account(profile, event.account)
    if is_other_client and event.client is not UNSET:
        _sample_client(profile, event.client)
    if event.prompt is not UNSET:
        _sample_prompt(profile, event.prompt)
    if event.max_tokens is not UNSET or event.temperature is not UNSET:
        limit = "" if event.max_tokens is UNSET else event.max_tokens
        temperature = "" if event.temperature is UNSET else round(event.temperature, 2)
        _count(profile.programs, f"{limit}/{temperature}", MAX_PROGRAMS, None)
    if event.refused is True:
        profile.refused += 1
    if event.scores:
        profile.scored += 1
        for name in _SCORES:
            if score := event.scores.get(name):
                profile.scores[name] = profile.scores.get(name, 0.0) + score


def _sample_account(profile: Profile, account: Account) -> None:
    if account.created_at is not UNSET:
        profile.created_ms = round(account.created_at.timestamp() * 1000)
    if account.payment_fp:
        profile.payment_fp = account.payment_fp
    if account.payment_bin:
        profile.payment_bin = account.payment_bin
    if account.signup_fp:
        profile.signup_fp = account.signup_fp


def _sample_client(profile: Profile, client: Client) -> None:
    if client.ja4 and client.ja4 not in profile.ja4:
        _keep(profile.ja4, client.ja4, MAX_CLIENTS)
    if client.http_fp and client.http_fp not in profile.http_fps:
        _keep(profile.http_fps, client.http_fp, MAX_CLIENTS)
    if client.ip_prefix and client.ip_prefix not in profile.ip_prefixes:
        _keep(profile.ip_prefixes, client.ip_prefix, MAX_PREFIXES)


def _sample_prompt(profile: Profile, prompt: Prompt) -> None:
    if prompt.system and prompt.system not in profile.systems:
        _keep(profile.systems, prompt.system, MAX_SYSTEMS)
    if prompt.simhash or prompt.templates:
        profile.prompts.append(PromptSketch(prompt.simhash or "", prompt.templates or []))
    if prompt.exchange is not UNSET:
        for template in prompt.exchange.templates or ():
            if template not in profile.exchanged:
                _keep(profile.exchanged, template, MAX_EXCHANGED)


def _keep(values: list[str], value: str, most: int) -> None:
    """Add a new value; most are not, and spare the call."""
    values.append(value)
    if len(values) > most:
        del values[0]


def _count(counts: dict[str, int], name: str, most: int, rest: str | None) -> None:
    known = counts.get(name)
    if known is None:
        if len(counts) >= most:
            if rest is None:
                return
            name = rest
        known = counts.get(name, 0)
    counts[name] = known + 1
