"""A real LiteLLM proxy in an environment of its own, for tests."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import orjson

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "deploy" / "gateways" / "litellm" / "requirements.txt"
CACHE = ROOT / ".cache" / "litellm"
#: 130 packages, 600 MB unpacked: 10 s when they are in uv's cache, a minute when they must be fetched.
INSTALL_S, START_S, ANSWER_S = 300, 180, 30

CONFIG = """
model_list:
  - model_name: large-2
    litellm_params: {model: openai/large-2, api_key: none, mock_response: an answer that was made up}
litellm_settings:
  callbacks: stream_app.gateways.litellm_callback.stillwatch
general_settings:
  custom_auth: tenants.user_api_key_auth
"""
#: Every tenant's key is its name, as a proxy with a data base would know it.
TENANTS = """
from fastapi import Request
from litellm.proxy._types import UserAPIKeyAuth


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    return UserAPIKeyAuth(api_key=api_key, team_id=api_key.removeprefix("sk-"))
"""


class NoLiteLLMError(Exception):
    """LiteLLM cannot be had here; the message says why in one line."""


class Answer(NamedTuple):
    """What the proxy answered."""

    status: int
    headers: Message
    body: bytes


class Proxy(NamedTuple):
    """A running proxy and where it writes its log."""

    address: str
    log: Path

    def ask(self, tenant: str, prompt: str, system: str) -> Answer:
        """One chat completion in a tenant's name."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        body = orjson.dumps({"model": "large-2", "messages": messages, "max_tokens": 50})
        headers = {"Authorization": f"Bearer sk-{tenant}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/v1/chat/completions", body, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())


def install() -> Path:
    """The environment's programs; made once per set of requirements. Raises ``NoLiteLLMError``."""
    place = CACHE / sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    programs, done = place / "bin", place / ".installed"
    if done.exists():
        return programs
    uv = CACHE / "uv" / "bin" / "uv"
    commands: list[list[str | Path]] = (
        []
        if uv.exists()
        else [
            [sys.executable, "-m", "venv", CACHE / "uv"],
            [CACHE / "uv" / "bin" / "pip", "install", "--quiet", "uv"],
        ]
    )
    commands += [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, place],
        [uv, "pip", "install", "--quiet", "--python", programs / "python", "-r", REQUIREMENTS],
        [uv, "pip", "install", "--quiet", "--python", programs / "python", "--no-deps", "-e", ROOT],
    ]
    for command in commands:
        try:
            ran = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, timeout=INSTALL_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise NoLiteLLMError(f"LiteLLM could not be installed within {INSTALL_S} s") from error
        if ran.returncode:
            raise NoLiteLLMError(f"LiteLLM could not be installed: {ran.stderr.strip().splitlines()[-1]}")
    done.touch()
    return programs


@contextmanager
def running_proxy(folder: Path, port: int, environment: Mapping[str, str]) -> Iterator[Proxy]:
    """A proxy with the callback, on a port of 127.0.0.1. Raises ``NoLiteLLMError``."""
    programs = install()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "tenants.py").write_text(TENANTS)
    log = folder / "proxy.log"
    own = {"LITELLM_MASTER_KEY": f"sk-{os.urandom(32).hex()}", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [str(programs / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **own, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(process, address, log)
        yield Proxy(address, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/health/liveliness", timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the proxy did not start: {log.read_text()[-2000:]}")
