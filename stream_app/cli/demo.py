"""``stillwatch demo``: everything on one machine."""

import logging
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import click
import structlog
from msgspec import json
from rich.console import Console
from rich.live import Live

from stream_app.adapters.admission import BrokerError
from stream_app.adapters.embedded_broker import EmbeddedBrokerError
from stream_app.demo import DemoError, DemoResult, run_demo
from stream_app.demo.run import FoundCampaign, Scene
from stream_app.demo.screen import draw
from stream_app.demo.traffic import Traffic, file_traffic, made_up_traffic
from stream_app.settings import SecurityProtocol, Settings, SettingsError, load_settings

_SEED = 1


@click.command()
@click.option("--events", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Events of your own.")
@click.option("--broker", metavar="HOST:PORT", help="A real Kafka broker instead of the embedded one.")
@click.option(
    "--duration", default=50.0, show_default=True, type=click.FloatRange(20, 3600), help="Seconds of traffic."
)
@click.option("--stay", is_flag=True, help="Keep everything running until Ctrl-C, to look around in the console.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object when it is over, and nothing else.")
def demo(events: Path | None, broker: str | None, duration: float, stay: bool, as_json: bool) -> None:
    """Show the whole path: traffic, broker, worker, decisions, limiter, console.

    Without --events, three hours of a made-up population's traffic are caught up with, then followed live; forty of its
    accounts are one campaign, and near the end one tenant runs away. The policy is enforced. On a real broker the
    topics are new ones, named stillwatch-demo-….
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or its processes would be left behind
    console = Console(stderr=True, quiet=as_json)
    settings = _settings(broker, historic=events is not None)
    console.print(_opening(settings), highlight=False)

    def traffic() -> Traffic:
        return file_traffic(events) if events else made_up_traffic(_SEED, duration)

    try:
        with Live(console=console, refresh_per_second=4) as live:

            def look(scene: Scene) -> None:
                live.update(draw(scene))

            def end(scene: Scene, result: DemoResult) -> None:
                if stay:
                    live.stop()
                    console.print(_closing(result), _invitation(scene), sep="\n", highlight=False, soft_wrap=True)
                    _wait()

            result = run_demo(settings, traffic, live.update, look, None if as_json else end)
    except (DemoError, BrokerError, EmbeddedBrokerError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.encode(result))
    elif not stay:
        console.print(_closing(result), highlight=False)
        console.print("stillwatch demo --stay keeps everything running, to look around in the console")


def _settings(broker: str | None, *, historic: bool) -> Settings:
    try:
        given = load_settings()
        if secured := _secured(given):
            raise click.UsageError(
                f"the demo speaks plain text only, and asks for no token: unset {', '.join(secured)}"
            )
        changes: dict[str, object] = {"historic": historic, "embedded": broker is None}
        if "STILLWATCH_TOPIC_PREFIX" not in os.environ:
            changes["topic_prefix"] = f"stillwatch-demo-{int(time.time())}"
        changes["group"] = changes.get("topic_prefix", given.topic_prefix)
        if broker:
            changes["broker"] = broker
        return Settings.model_validate(given.model_dump() | changes)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--broker") from error


def _secured(given: Settings) -> list[str]:
    """Settings with which parts of the demo could not talk to each other."""
    names = [
        name for name in ("web_token_file", "web_tls_certificate_file", "web_client_ca_file") if getattr(given, name)
    ]
    if given.security_protocol is not SecurityProtocol.PLAINTEXT:
        names.insert(0, "security_protocol")
    return [f"STILLWATCH_{name.upper()}" for name in names]


def _opening(settings: Settings) -> str:
    if settings.embedded:
        return "[yellow]embedded broker:[/] real protocol, but it keeps nothing once the demo is over"
    return f"broker {settings.broker}, topics {settings.topic_prefix}.*"


def _invitation(scene: Scene) -> str:
    """Where to look, and how other commands reach the same topics."""
    settings = scene.settings
    return (
        f"\n[bold]console[/]  {scene.console}\n"
        f"other commands, such as stillwatch limiter, with STILLWATCH_BROKER={settings.broker} "
        f"STILLWATCH_TOPIC_PREFIX={settings.topic_prefix}\nCtrl-C ends it"
    )


def _wait() -> None:
    with suppress(KeyboardInterrupt):
        signal.pause()


def _found(campaign: FoundCampaign) -> str:
    known = ""
    if campaign.accounts is not None and campaign.outsiders is not None:
        known = f"; {campaign.members - campaign.outsiders} of the {campaign.accounts} that are one, "
        known += f"and {campaign.outsiders or 'nobody'} else"
    return (
        f"campaign {campaign.campaign_id}, {campaign.status} {campaign.kind}: {campaign.members} members, "
        f"{campaign.acted_on} acted on{known}"
    )


def _closing(result: DemoResult) -> str:
    lines = [
        f"\n[bold]{result.events:,} events[/] in {result.duration_s:.0f} s, {result.dead_letters} dead letters, "
        f"decisions: {', '.join(f'{count} {action}' for action, count in result.decisions.items()) or 'none'}",
    ]
    if result.latency_p99_s is not None:
        lines.append(f"event to decision: p50 {result.latency_p50_s:.2f} s, p99 {result.latency_p99_s:.2f} s")
    if (after_s := result.noisy["denied_after_s"]) is not None:
        lines.append(f"{result.noisy['subject']} was denied {after_s:.1f} s after its first request too many")
    lines += [_found(campaign) for campaign in result.campaigns]
    actions = Counter(subject["action"] for subject in result.subjects)
    lines.append(f"strictest decision on each subject: {', '.join(f'{n} {action}' for action, n in actions.items())}")
    return "\n".join(lines)
