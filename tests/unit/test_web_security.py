"""Who gets an answer from our web servers: tokens, certificates, sizes and rates."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from stream_app.settings import Settings
from stream_app.web_security import MAX_BODY_BYTES, WebSecurityError, check_web_security, guards, tls_context

TOKEN, NEXT_TOKEN = "a" * 32, "b" * 40
Client = TestClient[web.Request, web.Application]
Ask = Callable[[Client], Awaitable[None]]


async def told(_: web.Request) -> web.Response:
    return web.Response(text="told")


def application(settings: Settings) -> web.Application:
    app = web.Application(middlewares=guards(settings), client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.route("*", path, told) for path in ("/check", "/metrics", "/health", "/ready")])
    return app


def ask(settings: Settings, questions: Ask) -> None:
    async def run() -> None:
        async with TestClient(TestServer(application(settings))) as client:
            await questions(client)

    asyncio.run(run())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


def test_without_settings_everybody_is_answered() -> None:
    async def questions(client: Client) -> None:
        assert (await client.get("/metrics")).status == 200

    ask(Settings(), questions)


def test_only_who_has_the_token_is_answered_but_probes_always(token_file: Path) -> None:
    async def questions(client: Client) -> None:
        for headers in ({}, bearer("c" * 32), bearer(""), {"Authorization": f"Basic {TOKEN}"}, bearer("ü" * 32)):
            refused = await client.get("/check", headers=headers)
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN not in await refused.text()
        assert (await client.get("/check", headers=bearer(TOKEN))).status == 200
        assert (await client.get("/nowhere")).status == 401
        assert (await client.get("/nowhere", headers=bearer(TOKEN))).status == 404
        for path in ("/health", "/ready"):
            assert (await client.get(path)).status == 200

    ask(Settings(web_token_file=token_file), questions)


def test_a_token_is_replaced_without_a_restart(token_file: Path) -> None:
    async def questions(client: Client) -> None:
        statuses = []
        for content in (f"{TOKEN}\n{NEXT_TOKEN}\n", f"{NEXT_TOKEN}\n", "too short", None):
            if content is None:
                token_file.unlink()
            else:
                token_file.with_suffix(".new").write_text(content)
                token_file.with_suffix(".new").replace(token_file)
            statuses.append([(await client.get("/check", headers=bearer(t))).status for t in (TOKEN, NEXT_TOKEN)])
        # what cannot be used changes nothing
        assert statuses == [[200, 200], [401, 200], [401, 200], [401, 200]]
        token_file.write_text(TOKEN)
        assert (await client.get("/check", headers=bearer(TOKEN))).status == 200

    ask(Settings(web_token_file=token_file), questions)


def test_large_bodies_are_refused() -> None:
    async def questions(client: Client) -> None:
        assert (await client.post("/check", data=b"x" * MAX_BODY_BYTES)).status == 200
        assert (await client.post("/check", data=b"x" * (MAX_BODY_BYTES + 1))).status == 413

    ask(Settings(), questions)


def test_an_address_may_ask_so_often_and_probes_always() -> None:
    async def questions(client: Client) -> None:
        # however the seconds fall, forty questions take less than ten of them
        answers = [await client.get("/check") for _ in range(40)]
        refused = [answer for answer in answers if answer.status == 429]
        assert len(answers) - len(refused) >= 3
        assert refused
        assert refused[0].headers["Retry-After"] == "1"
        assert {(await client.get("/ready")).status for _ in range(10)} == {200}

    ask(Settings(web_requests_per_s=3), questions)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file"), ("", "is empty"), ("short", "less than 32 characters"), ("ü" * 40, "not plain text")],
)
def test_a_token_file_that_cannot_be_used_is_told_without_its_content(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(WebSecurityError, match=f"STILLWATCH_WEB_TOKEN_FILE: .*{complaint}") as error:
        check_web_security(Settings(web_token_file=path))
    assert not content or content not in str(error.value)


def test_files_of_tls_belong_together(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Settings(web_tls_certificate_file=tmp_path / "certificate")
    with pytest.raises(ValidationError, match="needs STILLWATCH_WEB_TLS_CERTIFICATE_FILE"):
        Settings(web_client_ca_file=tmp_path / "ca")


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = tmp_path / "certificate"
    wrong = Settings(web_tls_certificate_file=path, web_tls_key_file=path)
    with pytest.raises(WebSecurityError, match=r"STILLWATCH_WEB_TLS_CERTIFICATE_FILE: .*No such file"):
        check_web_security(wrong)
    path.write_text("nothing")
    with pytest.raises(WebSecurityError, match=r"STILLWATCH_WEB_TLS_CERTIFICATE_FILE: .*cannot be used"):
        check_web_security(wrong)


class Authority:
    """Issues certificates into files."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.certificate, self.key, self.ca = (folder / name for name in ("certificate", "key", "ca"))
        self._ca.cert_pem.write_to_path(str(self.ca))
        self.renew()

    def renew(self) -> None:
        issued = self._ca.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(self.key))
        issued.cert_chain_pems[0].write_to_path(str(self.certificate))
        later = self.certificate.stat().st_mtime_ns + 1_000_000  # also where files keep coarse times
        os.utime(self.certificate, ns=(later, later))

    def client(self, issuer: trustme.CA | None = None) -> ssl.SSLContext:
        """Of a client that trusts us, and shows a certificate if somebody has issued it one."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        if issuer is not None:
            issuer.issue_cert("scraper@example.org").configure_cert(context)
        return context

    @property
    def issuer(self) -> trustme.CA:
        return self._ca


async def status(port: int, path: str, context: ssl.SSLContext, headers: dict[str, str] | None = None) -> int | str:
    """Of the answer, or ``no`` when there is no connection."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://127.0.0.1:{port}{path}", ssl=context, headers=headers) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, ConnectionError):
        return "no"


def test_tls_asks_for_a_certificate_or_a_token_and_follows_a_renewal(tmp_path: Path, token_file: Path) -> None:
    authority, stranger = Authority(tmp_path), trustme.CA()
    settings = Settings(
        web_token_file=token_file,
        web_tls_certificate_file=authority.certificate,
        web_tls_key_file=authority.key,
        web_client_ca_file=authority.ca,
    )

    async def run() -> None:
        runner = web.AppRunner(application(settings))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls_context(settings)).start()
        port = runner.addresses[0][1]
        try:
            assert await status(port, "/metrics", authority.client()) == 401
            assert await status(port, "/ready", authority.client()) == 200
            assert await status(port, "/metrics", authority.client(), bearer(TOKEN)) == 200
            assert await status(port, "/metrics", authority.client(authority.issuer)) == 200
            assert await status(port, "/metrics", authority.client(stranger)) == "no"
            assert await status(port, "/ready", ssl.create_default_context()) == "no"
            first = await served(port)
            authority.renew()
            assert await served(port) != first
            authority.certificate.write_text("half a certif")
            assert await status(port, "/ready", authority.client()) == 200
        finally:
            await runner.cleanup()

    asyncio.run(run())


async def served(port: int) -> str:
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
