"""Who is at the console, and what they may do: by a token of their own, or as a trusted proxy says."""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from enum import StrEnum
from hashlib import blake2b, sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

#: A working day; then one signs in again.
SESSION_S = 12 * 3_600
#: Shorter ones could be guessed.
MIN_TOKEN_CHARS = 24
_MAX_NAME_CHARS = 200

_log = structlog.get_logger()


class PeopleError(Exception):
    """A list of people or proxies that cannot be used; the message says why in one line, and never a token."""


class Role(StrEnum):
    """What a person may do; each may do what those before it may."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether this role is enough where ``needed`` is."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Person(Struct, frozen=True):
    """Somebody who has signed in; ``name`` is what operator records are signed with."""

    name: str
    role: Role


class _Session(Struct, array_like=True):
    name: str
    role: Role
    expires_s: float


def read_tokens(path: Path) -> dict[bytes, Person]:
    """People by the hash of their token, from lines ``ROLE NAME TOKEN``; raises ``PeopleError``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PeopleError(f"{path}: {getattr(error, 'strerror', None) or 'not a UTF-8 text file'}") from error
    found: dict[bytes, Person] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            role, name, token = line.split()
            person = Person(name, Role(role))
        except ValueError:
            raise PeopleError(f"{path}, line {number}: not ROLE NAME TOKEN, of {', '.join(Role)}") from None
        if len(token) < MIN_TOKEN_CHARS:
            raise PeopleError(f"{path}, line {number}: the token of {name} has under {MIN_TOKEN_CHARS} characters")
        if found.setdefault(_hash(token), person) is not person:
            raise PeopleError(f"{path}, line {number}: {name} has the token of somebody else")
    if not found:
        raise PeopleError(f"{path} names nobody")
    return found


class TokensFile(Mapping[bytes, Person]):
    """The people of a file, read again when the file is another; one that cannot be used changes nothing.

    Costs a look at the file's size and time at every question. Raises ``PeopleError`` when it cannot be used at first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _stamp(path)
        self._people = read_tokens(path)

    def __getitem__(self, token_hash: bytes) -> Person:
        return self._current()[token_hash]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def _current(self) -> Mapping[bytes, Person]:
        if (stamp := _stamp(self._path)) != self._seen:
            self._seen = stamp
            try:
                self._people = read_tokens(self._path)
            except PeopleError as error:
                _log.warning("the list of people is left as it was", error=str(error))
            else:
                _log.info("the list of people was read again", people=len(self._people))
        return self._people


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file: its time, size and place; nothing when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_networks(text: str) -> list[IPv4Network | IPv6Network]:
    """Addresses or networks with commas between; raises ``PeopleError``."""
    try:
        return [ip_network(one.strip()) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise PeopleError(f"trusted proxies: {error}") from None


class SignIns:
    """Knows people by their token, their session, or a trusted proxy's headers, and forms by their token.

    Sessions and forms are signed with a secret of this process: after a restart people sign in again. Nothing is kept
    for a person. ``tokens`` may change: who is in it no more, or in another role, signs in anew.
    """

    def __init__(
        self,
        tokens: Mapping[bytes, Person],
        proxies: list[IPv4Network | IPv6Network],
        group_prefix: str = "stillwatch-",
    ) -> None:
        self._tokens = tokens
        self._proxies = proxies
        self._group_prefix = group_prefix
        self._secret = secrets.token_bytes(32)

    @property
    def has_tokens(self) -> bool:
        """Whether anybody can sign in with a token."""
        return bool(self._tokens)

    def by_token(self, token: str) -> Person | None:
        """Whose token it is; what is compared are hashes."""
        return self._tokens.get(_hash(token))

    def by_proxy(self, peer: str | None, headers: Mapping[str, str]) -> Person | None:
        """Whom a trusted proxy has let in: ``X-Forwarded-User`` and the highest role in ``X-Forwarded-Groups``."""
        name = headers.get("X-Forwarded-User", "").strip()
        if not name or len(name) > _MAX_NAME_CHARS or not name.isprintable() or not self._is_trusted(peer):
            return None
        groups = {group.strip() for group in headers.get("X-Forwarded-Groups", "").split(",")}
        roles = [role for role in Role if f"{self._group_prefix}{role}" in groups]
        return Person(name, roles[-1]) if roles else None

    def session_of(self, person: Person, now_s: float) -> str:
        """A cookie's value that proves who one is until ``SESSION_S`` from now."""
        told = urlsafe_b64encode(msgspec.json.encode(_Session(person.name, person.role, now_s + SESSION_S))).decode()
        return f"{told}.{self._sign('session', told)}"

    def by_session(self, cookie: str, now_s: float) -> Person | None:
        """Who a session's cookie belongs to, unless it is forged or over."""
        told, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", told).encode()):
            return None
        session = msgspec.json.decode(urlsafe_b64decode(told), type=_Session)
        person = Person(session.name, session.role)
        return person if session.expires_s > now_s and person in self._tokens.values() else None

    def form_token(self, person: Person) -> str:
        """What a form must bring along, so that no other site can send it in the person's name."""
        return self._sign("form", person.name)

    def is_form_token(self, person: Person, token: str) -> bool:
        """Whether it is that person's."""
        return hmac.compare_digest(token.encode(), self.form_token(person).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return blake2b(f"{purpose}\0{text}".encode(), key=self._secret, digest_size=24).hexdigest()

    def _is_trusted(self, peer: str | None) -> bool:
        try:
            address = ip_address(peer or "")
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def one_token(name: str) -> tuple[str, dict[bytes, Person]]:
    """A token for this run alone, and the one person whose it is: who has started the console may do everything."""
    token = secrets.token_urlsafe(24)
    return token, {_hash(token): Person(name, Role.ADMIN)}


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
