"""The demo on a terminal: rates, lag, the limiter, and decisions as they come."""

import time

from rich.console import Group
from rich.table import Table
from rich.text import Text

from stream_app.demo.observers import Seen
from stream_app.demo.run import Scene

_SHOWN = 8
_COLOURS = {"allow": "green", "observe": "cyan", "throttle": "yellow", "challenge": "yellow", "block": "red"}


def draw(scene: Scene) -> Group:
    """One frame."""
    gateway = scene.gateway
    elapsed_s = max(time.monotonic() - scene.started_s, 1e-3)
    figures = Table.grid(padding=(0, 3))
    figures.add_row(
        f"[bold]{gateway.handled:,}[/] events judged",
        f"{gateway.handled / elapsed_s:,.0f} events/s",
        f"lag {max(gateway.sent - gateway.handled, 0):,}",
        f"limiter: {gateway.allowed:,} allowed, [bold]{sum(gateway.denied.values()):,}[/] denied",
    )
    decisions = Table("decision", "subject", "why", "after", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for seen in scene.watch.seen[-_SHOWN:]:
        decisions.add_row(*_row(seen))
    denied = Text("  ".join(f"denied {tenant}: {count:,}" for tenant, count in sorted(gateway.denied.items())), "dim")
    return Group(figures, decisions, denied)


def _row(seen: Seen) -> tuple[Text, str, str, str]:
    decision = seen.decision
    why = "; ".join(
        f"{reason.code} {reason.observed:,.0f} {reason.unit}, usually {reason.expected:,.0f}"
        for reason in decision.reasons[:1]
    )
    action = Text(decision.action.value, _COLOURS[decision.action.value])
    return action, decision.key, why or "calm again", f"{seen.latency_s:.2f} s"
