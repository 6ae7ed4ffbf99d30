"""API request event v1 (``schemas/event``): what a gateway reports about one finished request."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

#: Limits of the contract. Above them an event is rejected, so that no field can grow the state or the log.
MAX_MESSAGE_BYTES = 1 << 20
#: Elements of an array: a message holds no more events, the shortest of which take 135 bytes. Half a million ``1,`` fit
#: in one, and would be as many dead letters.
MAX_EVENTS = 8_000
MAX_ID_CHARS = 128
MAX_STRING_CHARS = 512
MAX_TOKENS = 10**9
MAX_TEMPLATES = 4
MAX_SCORES = 16

#: The rate limiter's and the gateway's refusals: demand, but neither load nor evidence.
DENIED_STATUS = frozenset({403, 429})
#: From here on the provider failed: that is no load either, and judged against its failures towards everybody.
FAILED_STATUS = 500

Text = Annotated[str, Meta(max_length=MAX_STRING_CHARS)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_STRING_CHARS)]
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Time = Annotated[datetime, Meta(tz=True)]
#: Sixteen digits; that they are hexadecimal is checked below: with a pattern here, decoding took a sixth longer.
Simhash = Annotated[str, Meta(min_length=16, max_length=16)]
_HEX, _NO_HEX = "0123456789abcdef", "Expected hexadecimal digits in lower case as simhash"
Templates = Annotated[list[Text], Meta(max_length=MAX_TEMPLATES)]
Score = Annotated[float, Meta(ge=0, le=1)]


class Client(Struct, frozen=True, gc=False):
    """Where the request came from, as far as the gateway tells."""

    ip_prefix: Text | UnsetType = UNSET
    asn: Annotated[int, Meta(ge=0, le=2**32 - 1)] | UnsetType = UNSET
    country: Text | UnsetType = UNSET
    ja4: Text | UnsetType = UNSET
    user_agent: Text | UnsetType = UNSET
    egress: Text | UnsetType = UNSET
    http_fp: Text | UnsetType = UNSET


class Account(Struct, frozen=True, gc=False):
    """What the provider knows of the account, pseudonymised at the edge."""

    created_at: Time | UnsetType = UNSET
    payment_fp: Text | UnsetType = UNSET
    payment_bin: Text | UnsetType = UNSET
    signup_fp: Text | UnsetType = UNSET
    plan: Text | UnsetType = UNSET
    billing: Text | UnsetType = UNSET
    verification: Text | UnsetType = UNSET


class Exchange(Struct, frozen=True, gc=False):
    """The prompt's sketch once more, under a key shared with partner providers."""

    key_id: Text
    simhash: Simhash | UnsetType = UNSET
    templates: Templates | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a simhash that is none."""
        if self.simhash is not UNSET and self.simhash.strip(_HEX):
            raise ValueError(_NO_HEX)


class Prompt(Struct, frozen=True, gc=False):
    """Keyed sketches of the prompt, made at the edge by ``stillwatch sketch``; never its text."""

    key_id: Text | UnsetType = UNSET
    simhash: Simhash | UnsetType = UNSET
    body_simhash: Simhash | UnsetType = UNSET
    templates: Templates | UnsetType = UNSET
    system: Text | UnsetType = UNSET
    topic: Text | UnsetType = UNSET
    chars: Tokens | UnsetType = UNSET
    exchange: Exchange | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a simhash that is none."""
        simhash, body = self.simhash, self.body_simhash
        if (simhash is not UNSET and simhash.strip(_HEX)) or (body is not UNSET and body.strip(_HEX)):
            raise ValueError(_NO_HEX)


class Event(Struct, frozen=True, gc=False):
    """One API request, reported at its end.

    ``time`` is the end of the request (RFC 3339, with an offset). ``tenant_id`` is the billing customer and the
    Kafka key; ``account_id`` a pseudonymous user or key in it. Every optional field may be absent: absence is no
    evidence. Unknown fields are ignored; enumerations are open.
    """

    id: Id
    time: Time
    tenant_id: Name
    account_id: Name
    model: Name
    status_code: Annotated[int, Meta(ge=100, le=599)]
    input_tokens: Tokens
    output_tokens: Tokens
    operation: Text | UnsetType = UNSET
    endpoint: Text | UnsetType = UNSET
    latency_ms: Annotated[float, Meta(ge=0, le=1e9)] | UnsetType = UNSET
    reasoning_tokens: Tokens | UnsetType = UNSET
    cached_tokens: Tokens | UnsetType = UNSET
    max_tokens: Tokens | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=100)] | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    logprobs: bool | UnsetType = UNSET
    n: Annotated[int, Meta(ge=0, le=10_000)] | UnsetType = UNSET
    tools: Annotated[int, Meta(ge=0, le=10_000)] | UnsetType = UNSET
    finish_reason: Text | UnsetType = UNSET
    refused: bool | UnsetType = UNSET
    error_type: Text | UnsetType = UNSET
    session_id: Text | UnsetType = UNSET
    language: Text | UnsetType = UNSET
    client: Client | UnsetType = UNSET
    account: Account | UnsetType = UNSET
    prompt: Prompt | UnsetType = UNSET
    scores: Annotated[dict[Text, Score], Meta(max_length=MAX_SCORES)] | UnsetType = UNSET


def is_served(status_code: int) -> bool:
    """Whether a request was answered by the service itself; errors of the client (4xx) are such answers, too."""
    return status_code < FAILED_STATUS and status_code not in DENIED_STATUS
