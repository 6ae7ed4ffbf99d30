"""Lines of a gateway's log to events, whatever its kind."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from stream_app.gateways import envoy, kong, otel
from stream_app.gateways.documents import Record
from stream_app.gateways.events import Mapped, Unmapped, UnmappedReason
from stream_app.gateways.identities import Identities
from stream_app.gateways.prompts import Sketcher


class Gateway(NamedTuple):
    """How one kind of gateway is read, and which of its fields are the tenant and the account unless told otherwise."""

    tenant: str
    account: str


#: Kinds of gateways by the name that the command line gives them.
GATEWAYS = {
    "kong": Gateway(kong.TENANT, kong.ACCOUNT),
    "envoy": Gateway(envoy.TENANT, envoy.ACCOUNT),
    "otel": Gateway(otel.TENANT, otel.ACCOUNT),
}
_MAPPINGS = {"kong": kong.map_kong, "envoy": envoy.map_envoy, "otel": otel.map_otel}


def read_line(line: bytes, kind: str, to: Identities, sketcher: Sketcher | None) -> Iterator[Mapped]:
    """The events of one line, or of one Kafka record's value; what is no request of a client gives nothing."""
    try:
        content = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield Unmapped(UnmappedReason.NOT_JSON, "not JSON")
        return
    mapping = partial(_MAPPINGS[kind], to=to, sketcher=sketcher)
    for document in content if isinstance(content, list) else [content]:
        if not isinstance(document, Mapping):
            yield Unmapped(UnmappedReason.NOT_JSON, "not a JSON object")
            continue
        yield from map(mapping, _records(document, kind))


def _records(document: Record, kind: str) -> Iterator[Record]:
    """Records in a document; Envoy's own OTLP access log has the keys of its format as attributes."""
    if kind == "otel":
        return otel.records_of(document)
    if kind == "envoy" and "resourceLogs" in document:
        return otel.flat_records(document)
    return iter([document])
