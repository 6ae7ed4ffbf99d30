"""``stillwatch doctor``: is everything a worker needs there, and if not, what to do."""

import logging
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Literal

import click
import orjson
from msgspec import Struct, to_builtins
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Console

from stream_app.adapters.admission import BrokerError
from stream_app.adapters.topic_admin import (
    Difference,
    check_topics,
    clock_difference_ms,
    count_brokers,
)
from stream_app.detection.policy import PolicyError, load_policy
from stream_app.settings import Settings, SettingsError, load_settings

#: Events more than 5 s ahead of their record's timestamp are refused; this leaves the larger part to the gateways.
MAX_CLOCK_DIFFERENCE_MS = 2_000

PACKAGE = "stillwatch"


class Finding(Struct, frozen=True):
    """One line of the report; ``detail`` of a wrong one says what to do, of a skipped one why."""

    name: str
    status: Literal["ok", "wrong", "skipped"]
    detail: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def doctor(as_json: bool) -> None:
    """Check Python, libraries, settings, policy, broker, topics and clocks; exit 1 if anything is wrong."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it logs, a finding says
    with Console(stderr=True).status("looking at everything a worker needs"):
        findings = list(_findings())
    is_ok = all(finding.status != "wrong" for finding in findings)
    if as_json:
        click.echo(orjson.dumps({"ok": is_ok, "findings": to_builtins(findings)}))
    else:
        for finding in findings:
            click.echo(f"{finding.status:8} {finding.name:10} {finding.detail}")
    if not is_ok:
        sys.exit(1)


def _findings() -> Iterator[Finding]:
    yield _python()
    yield from _libraries()
    try:
        settings = load_settings()
    except SettingsError as error:
        yield from (Finding("settings", "wrong", line) for line in str(error).splitlines())
        return
    yield Finding("settings", "ok", f"topics {settings.topic_prefix}.*, group {settings.group}")
    yield from _policy(settings)
    yield from _broker(settings)


def _python() -> Finding:
    needed, found = metadata(PACKAGE)["Requires-Python"], platform.python_version()
    if SpecifierSet(needed).contains(found, prereleases=True):
        return Finding("python", "ok", found)
    return Finding("python", "wrong", f"{found} is installed, {needed} is needed")


def _libraries() -> Iterator[Finding]:
    needed = [Requirement(line) for line in requires(PACKAGE) or ()]
    wrong = [complaint for requirement in needed if (complaint := _complaint(requirement))]
    yield from (Finding("libraries", "wrong", f"{complaint}: run make setup") for complaint in wrong)
    if not wrong:
        yield Finding("libraries", "ok", f"{len(needed)} libraries, each of a version that is asked for")


def _complaint(requirement: Requirement) -> str | None:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(found, prereleases=True):
        return None
    return f"{requirement.name} {found} is installed, {requirement.specifier} is asked for"


def _policy(settings: Settings) -> Iterator[Finding]:
    if settings.policy is None:
        yield Finding("policy", "skipped", "STILLWATCH_POLICY is not set")
        return
    try:
        policy = load_policy(settings.policy.read_text(encoding="utf-8"), str(settings.policy))
    except OSError as error:
        yield Finding("policy", "wrong", f"STILLWATCH_POLICY: {settings.policy}: {error.strerror}")
    except UnicodeDecodeError:
        yield Finding("policy", "wrong", f"STILLWATCH_POLICY: {settings.policy}: not a UTF-8 text file")
    except PolicyError as error:
        yield from (Finding("policy", "wrong", line) for line in str(error).splitlines())
    else:
        yield Finding("policy", "ok", f"{settings.policy}, version {policy.version}")


def _broker(settings: Settings) -> Iterator[Finding]:
    try:
        brokers = count_brokers(settings)
    except BrokerError as error:
        yield Finding("broker", "wrong", str(error))
        yield from (Finding(name, "skipped", "no broker to ask") for name in ("topics", "clock"))
        return
    yield Finding("broker", "ok", f"{settings.broker} answers, {brokers} broker{'s' * (brokers != 1)}")
    if settings.embedded:
        yield Finding("topics", "skipped", "the embedded broker makes any topic that is asked for")
        yield Finding("clock", "skipped", "the embedded broker has no clock but ours")
        return
    yield from _topics(settings)
    yield _clock(settings)


def _topics(settings: Settings) -> Iterator[Finding]:
    try:
        differences = check_topics(settings)
    except BrokerError as error:
        yield Finding("topics", "wrong", str(error))
        return
    yield from (Finding("topics", "wrong", f"{difference}: {_advice(difference)}") for difference in differences)
    if not differences:
        yield Finding("topics", "ok", f"{settings.topic_prefix}.* as they should be")


def _advice(difference: Difference) -> str:
    if difference.setting == "topic":
        return "run stillwatch topics create"
    if difference.setting == "partitions":
        return "set STILLWATCH_PARTITIONS to what is there, or make the topic anew: keys move when partitions are added"
    if difference.setting == "replication.factor":
        return "reassign the topic's replicas with kafka-reassign-partitions.sh"
    return "set it with kafka-configs.sh --alter"


def _clock(settings: Settings) -> Finding:
    try:
        ahead_ms = clock_difference_ms(settings)
    except BrokerError as error:
        return Finding("clock", "skipped", f"the cluster does not tell its time: {error}")
    text = f"the controller's clock is {abs(ahead_ms):.0f} ms {'ahead of' if ahead_ms > 0 else 'behind'} ours"
    if abs(ahead_ms) <= MAX_CLOCK_DIFFERENCE_MS:
        return Finding("clock", "ok", text)
    return Finding("clock", "wrong", f"{text}: set both by NTP, {MAX_CLOCK_DIFFERENCE_MS} ms are allowed")
