"""The demo on a terminal: rates, lag, the limiter, and decisions as they come."""

import time
from collections import Counter
from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from stream_app.demo.observers import Seen
from stream_app.demo.run import Scene

_SHOWN, _SHOWN_DENIED = 8, 4
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
    for seen in [seen for seen in scene.watch.seen if not seen.decision.campaign_id][-_SHOWN:]:
        decisions.add_row(*_row(seen))
    most = sorted(gateway.denied.items(), key=lambda entry: (-entry[1], entry[0]))[:_SHOWN_DENIED]
    denied = Text("  ".join(f"denied {tenant}: {count:,}" for tenant, count in most), "dim")
    console = [Text(f"console  {scene.console}", no_wrap=True, overflow="ignore")] if scene.console else []
    return Group(figures, decisions, *_campaigns(scene), denied, *console)


def _campaigns(scene: Scene) -> Iterator[Text]:
    """A line for each campaign: how far its members are gone against, by the newest decision on each of them."""
    newest: dict[str, dict[str, str]] = {}
    for decision, _ in list(scene.watch.seen):
        if decision.campaign_id:
            newest.setdefault(decision.campaign_id, {})[decision.key] = decision.action.value
    for campaign_id, actions in sorted(newest.items()):
        counts = Counter(actions.values())
        told = ", ".join(f"{counts[action]} {action}" for action in reversed(_COLOURS) if counts[action])
        yield Text.assemble(("campaign", "red"), f"  {campaign_id}  {len(actions)} accounts are one operation: {told}")


def _row(seen: Seen) -> tuple[Text, str, str, str]:
    decision = seen.decision
    why = "; ".join(
        f"{reason.code} {reason.observed:,.0f} {reason.unit}, usually {reason.expected:,.0f}"
        for reason in decision.reasons[:1]
    )
    action = Text(decision.action.value, _COLOURS[decision.action.value])
    return action, decision.key, why or "calm again", f"{seen.latency_s:.2f} s"
