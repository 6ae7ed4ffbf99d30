"""``stillwatch worker``: one member of the group that judges request events."""

import asyncio
import logging
import signal
import socket
import sys
import time

import click
import faust

from stream_app import signatures, sketches
from stream_app.adapters.admission import BrokerError
from stream_app.adapters.broker_watch import CalmClientLog, find_problem
from stream_app.adapters.credentials import CredentialsError, check_credentials
from stream_app.adapters.operator_signatures import operator_signatures
from stream_app.adapters.outboxes import RecordsOf
from stream_app.adapters.sources import SourceChangedError
from stream_app.adapters.topic_admin import check_rights, check_topics
from stream_app.app import create_app, detectors, effect_records, read_exchange
from stream_app.detection.policy import Policy, PolicyError
from stream_app.detection.state import StateError
from stream_app.garbage import calm_garbage_collection
from stream_app.grants import COMPONENT_OF
from stream_app.logs import log_to_stderr
from stream_app.policies import read_policy
from stream_app.settings import Settings, SettingsError, load_settings
from stream_app.web_security import WebSecurityError, check_web_security

_log = logging.getLogger("stream_app.worker")

#: First and longest pause between two tries to reach the broker.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 10.0


#: Two kinds of key files: what may be told to partners is sketched with one, decisions are signed with the other.
_KEY_ERRORS = (sketches.KeyFileError, signatures.KeyFileError)

#: Failures that somebody outside can mend: told in one line when the worker ends.
_TOLD = (StateError, SourceChangedError, BrokerError)


class _ToldAtTheEnd(logging.Filter):
    """Leaves out the traces of failures that the command itself tells."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], _TOLD))


@click.command()
def worker() -> None:
    """Read request events, judge, and put decisions on the control topic, until stopped by SIGTERM or SIGINT.

    Everything is configured by STILLWATCH_* variables; see docs/settings.md.
    """
    # As the first process of a container it would not hear of a signal that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings, policy, to_records = _configuration()
    _log_to_stderr(settings)
    _check_port(settings)
    _wait_for_broker(settings)
    _check_topics(settings)
    _log.info(
        "worker of group %s on %s; policy %s (%s); web on %s:%d",
        settings.group,
        settings.broker,
        policy.version,
        policy.mode,
        settings.web_bind,
        settings.web_port,
    )
    app, services = create_app(settings, detectors(settings, policy), to_records)
    calm_garbage_collection()
    member = faust.Worker(app, *services, quiet=True, redirect_stdouts=False, override_logging=False)
    member.spinner = None  # its terminal codes would stand before our first line
    try:
        member.execute_from_commandline()
    except SystemExit:
        if isinstance(member.crash_reason, _TOLD):
            raise click.ClickException(str(member.crash_reason)) from member.crash_reason
        raise


def _log_to_stderr(settings: Settings) -> None:
    log_to_stderr(settings, CalmClientLog(), _ToldAtTheEnd())
    # mode logs that each of these is starting and stopping
    for service in ("broker_watch", "campaign_alerts", "membership", "instruction_logs", "web"):
        logging.getLogger(f"stream_app.adapters.{service}").setLevel(logging.WARNING)


def _configuration() -> tuple[Settings, Policy, RecordsOf]:
    try:
        settings = load_settings()
        check_credentials(settings)
        check_web_security(settings)
        read_exchange(settings)
        operator_signatures(settings)
        return settings, read_policy(settings), effect_records(settings)
    except (SettingsError, CredentialsError, WebSecurityError, PolicyError, *_KEY_ERRORS) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"policy file: {error}") from error


def _check_port(settings: Settings) -> None:
    try:
        socket.create_server((settings.web_bind, settings.web_port)).close()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.web_bind}:{settings.web_port}: {error}") from error


def _wait_for_broker(settings: Settings) -> None:
    pause_s = _FIRST_RETRY_S
    while (problem := asyncio.run(find_problem(settings.broker))) is not None:
        _log.warning("no broker at %s (%s); trying again in %.0f s", settings.broker, problem, pause_s)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_RETRY_S)


def _check_topics(settings: Settings) -> None:
    """A worker on missing or differently partitioned topics would judge nothing, or the wrong tenants: refuse."""
    if settings.embedded:
        return
    try:
        check_rights(settings, COMPONENT_OF[settings.stage])
        differences = check_topics(settings)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    missing = [str(d) for d in differences if d.setting == "topic"]
    partitions = [str(d) for d in differences if d.setting == "partitions"]
    if missing:
        raise click.ClickException("\n".join(missing) + "\nrun `stillwatch topics create` first")
    if partitions:
        raise click.ClickException("\n".join(partitions) + "\nset STILLWATCH_PARTITIONS to what the topics have")
