"""Who may ask our web servers, over what connection, how much and how often.

A client shows a bearer token or, over TLS, a certificate that comes from the authority given; ``/health`` and
``/ready`` ask for neither, because probes have neither. Files are read again when they change.
"""

import hmac
import logging
import ssl
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stream_app.settings import Settings

_log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/ready"})
#: Our questions fit a line; what is larger is a mistake or an attack.
MAX_BODY_BYTES = 65_536
#: Of a token: 128 bits in hex; a shorter one could be guessed by trying.
MIN_TOKEN_CHARS = 32


class WebSecurityError(Exception):
    """A file of the web server cannot be used; the message names its setting, never what is in it."""


def check_web_security(settings: Settings) -> None:
    """Read all files once, so that what is wrong with them is told at the start. Raises ``WebSecurityError``."""
    tls_context(settings)
    guards(settings)


def guards(
    settings: Settings, *, open_paths: Collection[str] = OPEN_PATHS, max_body_bytes: int = MAX_BODY_BYTES
) -> list[Middleware]:
    """Middlewares for size, rate and access, in this order; the application needs the same ``client_max_size``.

    Raises ``WebSecurityError`` when the token file cannot be used.
    """
    found = [_size_guard(max_body_bytes)]
    if settings.web_requests_per_s is not None:
        found.append(_rate_guard(settings.web_requests_per_s, open_paths))
    if settings.web_token_file is not None or settings.web_client_ca_file is not None:
        tokens = None if settings.web_token_file is None else Tokens(settings.web_token_file)
        found.append(_access_guard(tokens, open_paths))
    return found


class Tokens:
    """The tokens of a file, one a line; two are for the time in which one replaces the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = _mark(path, "WEB_TOKEN_FILE")
        self._tokens = self._read()

    def has(self, token: str) -> bool:
        """Whether it is one of them, in a time that does not depend on how much of it is right."""
        self._follow()
        given = token.encode()
        return sum(hmac.compare_digest(given, known) for known in self._tokens) > 0

    def _follow(self) -> None:
        """A file that is broken now changes nothing: whoever replaces it may be half done."""
        try:
            mark = _mark(self._path, "WEB_TOKEN_FILE")
            if mark != self._mark:
                self._mark, self._tokens = mark, self._read()
        except WebSecurityError as error:
            if self._mark != (0, 0, 0):
                _log.warning("%s; the tokens known so far stay in force", error)
            self._mark = (0, 0, 0)

    def _read(self) -> list[bytes]:
        try:
            lines = self._path.read_text(encoding="ascii").split()
        except OSError as error:
            raise WebSecurityError(f"STILLWATCH_WEB_TOKEN_FILE: {self._path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise WebSecurityError(f"STILLWATCH_WEB_TOKEN_FILE: {self._path} is not plain text") from None
        if not lines:
            raise WebSecurityError(f"STILLWATCH_WEB_TOKEN_FILE: {self._path} is empty")
        if min(map(len, lines)) < MIN_TOKEN_CHARS:
            raise WebSecurityError(
                f"STILLWATCH_WEB_TOKEN_FILE: {self._path} holds a token of less than {MIN_TOKEN_CHARS} characters; "
                "`openssl rand -hex 32` makes one"
            )
        return [line.encode() for line in lines]


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """TLS as it is spoken to clients, if it is; certificates and keys are read again when a file changes.

    Raises ``WebSecurityError``.
    """
    certificate = settings.web_tls_certificate_file
    if certificate is None:
        return None
    files = [path for path in (certificate, settings.web_tls_key_file, settings.web_client_ca_file) if path is not None]
    context = _read_context(settings, certificate)
    mark = [_mark(path, "WEB_TLS_CERTIFICATE_FILE") for path in files]

    def follow(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """At each connection: a certificate that was renewed serves from now on, a broken one does not."""
        nonlocal context, mark
        try:
            newest = [_mark(path, "WEB_TLS_CERTIFICATE_FILE") for path in files]
            if newest != mark:
                mark, context = newest, _read_context(settings, certificate)
        except WebSecurityError as error:
            _log.warning("%s; the certificate known so far stays in use", error)
        connection.context = context

    first = context
    first.sni_callback = follow  # also called for clients that name no server
    return first


def _read_context(settings: Settings, certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # an empty passphrase: without one OpenSSL would ask at the terminal
        context.load_cert_chain(certificate, settings.web_tls_key_file, password="")
    except (OSError, ValueError) as error:
        raise WebSecurityError(_file_error("WEB_TLS_CERTIFICATE_FILE", certificate, error)) from error
    if settings.web_client_ca_file is not None:
        try:
            context.load_verify_locations(settings.web_client_ca_file)
        except OSError as error:
            raise WebSecurityError(_file_error("WEB_CLIENT_CA_FILE", settings.web_client_ca_file, error)) from error
        # Probes show none; who shows one must show a good one, and the access guard asks who did.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _file_error(name: str, path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    if isinstance(error, ssl.SSLError):
        reason = f"cannot be used: {(error.reason or 'no PEM').lower().replace('_', ' ')}"
    return f"STILLWATCH_{name}: {path}: {reason}"


def _mark(path: Path, name: str) -> tuple[int, int, int]:
    """Changes whenever the file does, also when a mounted secret is swapped below us."""
    try:
        found = path.stat()
    except OSError as error:
        raise WebSecurityError(f"STILLWATCH_{name}: {path}: {error.strerror}") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def _size_guard(max_body_bytes: int) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (request.content_length or 0) > max_body_bytes:
            refused = _refused(413, f"more than {max_body_bytes} bytes")
            refused.force_close()
            return refused
        return await handler(request)

    return guard


def _rate_guard(requests_per_s: int, open_paths: Collection[str]) -> Middleware:
    """Counts each address within each second, so that memory holds the addresses of one second only.

    aiolimiter 1.2 and pyrate-limiter 4.5 were looked at: both keep a bucket per address, which somebody has to forget.
    """
    counts: Counter[str] = Counter()
    second = 0

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal second
        if request.path in open_paths:
            return await handler(request)
        if (now := int(time.monotonic())) != second:
            second = now
            counts.clear()
        address = request.remote or ""
        counts[address] += 1
        if counts[address] > requests_per_s:
            return _refused(429, f"more than {requests_per_s} requests a second", {"Retry-After": "1"})
        return await handler(request)

    return guard


def _access_guard(tokens: Tokens | None, open_paths: Collection[str]) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in open_paths or request.get_extra_info("peercert"):
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if tokens is not None and scheme.lower() == "bearer" and tokens.has(token.strip()):
            return await handler(request)
        return _refused(401, "a token or a client certificate is needed", {"WWW-Authenticate": "Bearer"})

    return guard


def _refused(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": reason}, status=status, headers=headers)
