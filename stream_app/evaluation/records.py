"""The lines that are compared: labels, scenario, reported campaigns and decisions. Unknown fields are ignored."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

Time = Annotated[datetime, Meta(tz=True)]
Posterior = Annotated[float, Meta(ge=0, le=1)]


class Label(Struct, frozen=True):
    """One account. ``first_campaign_time`` is its first extraction request; absent while it has sent none."""

    tenant_id: str
    account_id: str
    campaign: str | None
    role: str
    family: str = ""
    first_campaign_time: Time | None = None
    bridges: list[str] | None = None


class Played(Struct, frozen=True):
    """A campaign of the scenario. ``counted_extraction_time`` is its 5,000th extraction request, if it came to that."""

    campaign: str
    first_extraction_time: Time | None = None
    counted_extraction_time: Time | None = None
    fifth_extraction_time: Time | None = None


class Expected(Struct, frozen=True):
    """A single tenant that changes at ``onset``."""

    tenant_id: str
    onset: Time


class Scenario(Struct, frozen=True):
    """What was played; ``allow_list`` names tenants that may be reported but never acted on."""

    name: str
    seed: int
    scale: float
    campaigns: list[Played]
    expect: dict[str, Expected] = {}
    allow_list: list[str] = []


class Member(Struct, frozen=True):
    """Without ``account_id`` all accounts of the tenant are meant."""

    tenant_id: str
    posterior: Posterior
    role: str
    joined_at: Time
    account_id: str | None = None


class Report(Struct, frozen=True):
    """One reported campaign with its members."""

    campaign_id: str
    kind: str
    status: str
    confidence: Posterior
    first_alert_time: Time
    members: list[Member]
    aliases: list[str] = []


class Decision(Struct, frozen=True):
    """The part of a decision that is scored."""

    scope: str
    subject: str
    action: str
    issued_at: Time
    tenant_id: str | None = None
    account_id: str | None = None
    campaign_id: str | None = None
    origin: str = "detector"
    simulated: bool = False


class UnreadableError(Exception):
    """A file is not what it should be; the message is one line with the file and the place in it.

    ``is_content`` is false when there is no such file at all.
    """

    def __init__(self, message: str, *, is_content: bool) -> None:
        super().__init__(message)
        self.is_content = is_content


Record = TypeVar("Record", Label, Report, Decision)


def read_lines(path: Path, kind: type[Record]) -> Iterator[Record]:
    """Records of a file of JSON lines; raises ``UnreadableError`` at the first that is none."""
    decoder = msgspec.json.Decoder(kind)
    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    yield decoder.decode(line)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}", is_content=False) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{path}:{number}: {error}", is_content=True) from error


def read_scenario(path: Path) -> Scenario:
    """Raises ``UnreadableError`` when the file is no scenario."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}", is_content=False) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{path}: {error}", is_content=True) from error
