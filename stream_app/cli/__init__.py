"""Command line: ``stillwatch …``. Each family of commands has a module; none holds logic.

A command's module is imported when it is called, so that ``stillwatch sketch`` does not wait for Faust.
"""

from importlib import import_module

import click

from stream_app import __version__

#: Command to the module that holds it under the same name.
COMMANDS = {
    "allow": "stream_app.cli.overrides",
    "backfill": "stream_app.cli.backfill",
    "campaigns": "stream_app.cli.campaigns",
    "console": "stream_app.cli.console",
    "dead-letters": "stream_app.cli.dead_letters",
    "decisions": "stream_app.cli.decisions",
    "demo": "stream_app.cli.demo",
    "digest": "stream_app.cli.digest",
    "doctor": "stream_app.cli.doctor",
    "dossier": "stream_app.cli.dossier",
    "enforcement": "stream_app.cli.enforcement",
    "evaluate": "stream_app.cli.evaluate",
    "forget": "stream_app.cli.forget",
    "gateway-events": "stream_app.cli.gateway_events",
    "generate": "stream_app.cli.generate",
    "indicators": "stream_app.cli.indicators",
    "keys": "stream_app.cli.keys",
    "limiter": "stream_app.cli.limiter",
    "override": "stream_app.cli.overrides",
    "policy": "stream_app.cli.what_if",
    "release": "stream_app.cli.overrides",
    "replay": "stream_app.cli.replay",
    "sketch": "stream_app.cli.sketch",
    "topics": "stream_app.cli.topics",
    "watch": "stream_app.cli.overrides",
    "worker": "stream_app.cli.worker",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stillwatch")
def main() -> None:
    """Real-time anomaly detection for API providers, from Kafka to Kafka."""
