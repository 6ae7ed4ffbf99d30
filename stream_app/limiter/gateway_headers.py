"""What a gateway tells of a request in headers, and what it is answered in headers."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import quote

import msgspec
from multidict import MultiMapping

from stream_app.limiter.allowances import Allowance
from stream_app.limiter.checks import RequestFacts

#: Which header carries what, unless the gateway says otherwise. An address is taken from no header by default: the
#: usual ones can be set by the client.
DEFAULT_NAMES: Mapping[str, str] = {
    "tenant_id": "x-tenant-id",
    "account_id": "x-account-id",
    "payment_fp": "x-payment-fp",
    "signup_fp": "x-signup-fp",
    "ip_prefix": "x-ip-prefix",
    "tokens": "x-tokens",
}
#: ``ip`` is no fact of its own: the prefix is made of it.
FIELDS = (*DEFAULT_NAMES, "ip")

#: The networks by which events name addresses (schemas/event).
PREFIX_BITS = {4: 24, 6: 48}


def header_names(given: Mapping[str, str]) -> dict[str, str]:
    """Header names by field, in lower case, with the defaults filled in. Raises ``ValueError`` for a field we lack."""
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        raise ValueError(f"no such field: {', '.join(unknown)} (there are {', '.join(FIELDS)})")
    return {field: name.lower() for field, name in {**DEFAULT_NAMES, **given}.items()}


def read_facts(headers: MultiMapping[str], names: Mapping[str, str]) -> RequestFacts:
    """The facts of a check; empty headers count as absent, which is how gateways send unset variables.

    A request that names a tenant and no account is about an account of the tenant's name. Raises ``ValueError``
    when no tenant is named, a value cannot be read, or a header comes twice: one of them is then the client's own.
    """
    given: dict[str, Any] = {}
    for field, name in names.items():
        values = headers.getall(name, ())
        if len(values) > 1:
            raise ValueError(f"header {name} comes twice")
        if values and values[0]:
            given[field] = values[0]
    if "tenant_id" not in given:
        raise ValueError(f"no tenant in header {names['tenant_id']}")
    given.setdefault("account_id", given["tenant_id"])
    if "ip" in given:
        given.setdefault("ip_prefix", prefix_of(given["ip"]))
        del given["ip"]
    return msgspec.convert(given, RequestFacts, strict=False)


def prefix_of(address: str) -> str:
    """The prefix in which events name an address. Raises ``ValueError``."""
    parsed = ip_address(address)
    return str(ip_network((parsed, PREFIX_BITS[parsed.version]), strict=False))


def answer_headers(allowance: Allowance) -> dict[str, str]:
    """What the decision said, for the gateway to pass on; ``Retry-After`` in seconds with a denial only."""
    headers = {"x-stillwatch-action": str(allowance.action), "x-stillwatch-reason": _text(allowance.reason_code)}
    if allowance.decision_id is not None:
        headers["x-stillwatch-decision-id"] = _text(allowance.decision_id)
    if allowance.simulated:
        headers["x-stillwatch-simulated"] = "true"
    if not allowance.allowed:
        headers["retry-after"] = str(allowance.retry_after_s)
    return headers


def _text(value: str) -> str:
    """Anything else than plain characters is percent-encoded: a record's text must not end a header."""
    return value if value.isascii() and value.isprintable() else quote(value, safe="")
