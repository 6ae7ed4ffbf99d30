"""Writes the dashboards of this folder: ``make dashboards``.

Plain JSON from plain values: the models of Grafana's own kit have a release for each Grafana, and the newest of them on
the package index is that of the oldest Grafana.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

FOLDER = Path(__file__).resolve().parent / "dashboards"
#: What every Grafana from 10 on reads, and migrates to its own.
_SCHEMA = 39
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 24, 8

WORKER, CAMPAIGNS, LIMITER = (f'job="stillwatch-{job}"' for job in ("worker", "campaigns", "limiter"))
DENIED = 'action=~"throttle|challenge|block"'


class Panel(NamedTuple):
    """A panel: queries with their legends, a unit as Grafana names it, and what it is for.

    ``kind`` is ``timeseries``, or ``stat`` for the present value.
    """

    title: str
    queries: list[tuple[str, str]]
    unit: str = "short"
    text: str = ""
    kind: str = "timeseries"
    width: int = 8
    limit: float | None = None


class Dashboard(NamedTuple):
    """Panels under headings, and the address (``/d/NAME``) that alerts link to."""

    name: str
    title: str
    rows: list[tuple[str, list[Panel]]]


def quantile(q: float, metric: str, labels: str, window: str = "$__rate_interval") -> tuple[str, str]:
    """A quantile of a histogram over the last minutes."""
    return f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{{{labels}}}[{window}])))", f"{q:g}"


def rate(metric: str, labels: str, by: str = "", legend: str = "") -> tuple[str, str]:
    """A rate, added up over workers, or by a label."""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}{{{labels}}}[$__rate_interval]))", f"{{{{{by}}}}}" if by else legend


def burn(name: str, window: str) -> tuple[str, str]:
    """How many times faster than allowed a budget is used up."""
    return f"stillwatch:{name}:ratio_rate{window} / 0.001", window


HEALTH = Dashboard(
    "stillwatch-health",
    "Stillwatch: service health",
    [
        (
            "Objectives",
            [
                Panel(
                    "Workers that answer",
                    [(f"sum(up{{{WORKER}}})", "tenants"), (f"sum(up{{{CAMPAIGNS}}})", "campaigns")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Late decisions: burn rate",
                    [burn("undecided_in_time", window) for window in ("5m", "1h", "6h")],
                    text="1 uses the month's budget up in 30 days; 14.4 over an hour pages.",
                    width=10,
                    limit=14.4,
                ),
                Panel(
                    "Refused or lost events: burn rate",
                    [burn("unprocessed", window) for window in ("5m", "1h", "6h")],
                    width=10,
                    limit=14.4,
                ),
            ],
        ),
        (
            "Events",
            [
                Panel("Events by outcome", [rate("stillwatch_events_total", WORKER, "outcome")], "eps"),
                Panel(
                    "From Kafka to decided",
                    [quantile(q, "stillwatch_event_latency_seconds", WORKER) for q in (0.5, 0.99, 0.999)],
                    "s",
                    limit=2.5,
                ),
                Panel(
                    "Event age",
                    [(f"time() - max(stillwatch_newest_event_timestamp_seconds{{{WORKER}}} > 0)", "newest event")],
                    "s",
                    "How far event time is behind.",
                ),
                Panel("Lag by partition", [(f"stillwatch_consumer_lag_records{{{WORKER}}}", "{{partition}}")], "short"),
                Panel("Dead letters by reason", [rate("stillwatch_dead_letters_total", WORKER, "reason")], "eps"),
                Panel(
                    "Late and missed",
                    [
                        rate("stillwatch_late_events_total", WORKER, legend="late"),
                        rate("stillwatch_missed_records_total", WORKER, legend="missed"),
                        rate("stillwatch_rewinds_total", WORKER, legend="rewinds"),
                    ],
                    "eps",
                ),
                Panel(
                    "Optional fields present",
                    [
                        (
                            f"sum by (field) (rate(stillwatch_sampled_fields_total{{{WORKER}}}[$__rate_interval]))"
                            f" / scalar(sum(rate(stillwatch_sampled_events_total{{{WORKER}}}[$__rate_interval])))",
                            "{{field}}",
                        )
                    ],
                    "percentunit",
                    "Features that rest on a field without a share are blind.",
                    width=24,
                ),
            ],
        ),
        (
            "State and checkpoints",
            [
                Panel(
                    "Checkpoint age",
                    [(f"max by (partition) (stillwatch_checkpoint_age_seconds{{{WORKER}}})", "{{partition}}")],
                    "s",
                    limit=60,
                ),
                Panel(
                    "Checkpoint takes",
                    [quantile(q, "stillwatch_checkpoint_seconds", WORKER) for q in (0.5, 0.99)],
                    "s",
                ),
                Panel("Checkpoint bytes", [rate("stillwatch_checkpoint_bytes_total", WORKER, legend="bytes")], "Bps"),
                Panel(
                    "Effects not acknowledged",
                    [(f"max by (partition) (stillwatch_unsent_seconds{{{WORKER}}})", "{{partition}}")],
                    "s",
                    limit=30,
                ),
                Panel("Tenants with state", [(f"sum(stillwatch_state_tenants{{{WORKER}}})", "tenants")]),
                Panel("State", [(f"sum(stillwatch_state_bytes{{{WORKER}}})", "bytes")], "bytes"),
                Panel(
                    "Takeovers",
                    [
                        (f"sum(stillwatch_recovering_partitions{{{WORKER}}})", "under way"),
                        (f"sum(stillwatch_recovery_remaining_records{{{WORKER}}})", "records to read"),
                    ],
                ),
                Panel(
                    "Takeover takes",
                    [
                        (
                            f"sum(stillwatch_recovery_seconds_sum{{{WORKER}}})"
                            f" / sum(stillwatch_recovery_seconds_count{{{WORKER}}})",
                            "mean since start",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "CPU and memory",
                    [
                        (f"rate(process_cpu_seconds_total{{{WORKER}}}[$__rate_interval])", "cores {{instance}}"),
                        (f"process_resident_memory_bytes{{{WORKER}}} / 2^30", "GiB {{instance}}"),
                    ],
                ),
            ],
        ),
    ],
)

DECISIONS = Dashboard(
    "stillwatch-decisions",
    "Stillwatch: decisions and the guard against false positives",
    [
        (
            "Decisions",
            [
                Panel(
                    "Active decisions",
                    [
                        (
                            f"max by (action, simulated) (stillwatch_limiter_decisions{{{LIMITER}}})",
                            "{{action}} simulated={{simulated}}",
                        )
                    ],
                    text="As limiters have them.",
                ),
                Panel(
                    "Enforced, by action",
                    [rate("stillwatch_decisions_total", f'{WORKER},simulated="false"', "action")],
                    "ops",
                ),
                Panel(
                    "Simulated, by action",
                    [rate("stillwatch_decisions_total", f'{WORKER},simulated="true"', "action")],
                    "ops",
                ),
                Panel("By main reason", [rate("stillwatch_decision_reasons_total", WORKER, "reason")], "ops"),
                Panel(
                    "Decision latency, ten minutes",
                    [quantile(q, "stillwatch_decision_latency_seconds", WORKER, "10m") for q in (0.5, 0.99)],
                    "s",
                    "Exemplars are decision ids: stillwatch decisions explain ID.",
                    limit=2.5,
                ),
                Panel(
                    "Decided within 2.5 s, an hour",
                    [
                        (
                            f'sum(increase(stillwatch_decision_latency_seconds_bucket{{{WORKER},le="2.5"}}[1h]))'
                            f" / sum(increase(stillwatch_decision_latency_seconds_count{{{WORKER}}}[1h]))",
                            "share",
                        )
                    ],
                    "percentunit",
                ),
            ],
        ),
        (
            "Guard",
            [
                Panel(
                    "Denials in ten minutes, against the day",
                    [
                        (
                            f'sum(increase(stillwatch_decisions_total{{{WORKER},{DENIED},simulated="false",'
                            'origin="detector"}[10m]))',
                            "now",
                        ),
                        (
                            f'sum(rate(stillwatch_decisions_total{{{WORKER},{DENIED},simulated="false",'
                            'origin="detector"}[1d])) * 600',
                            "usual",
                        ),
                    ],
                ),
                Panel(
                    "Harm budget used",
                    [
                        (
                            f"max by (partition) (stillwatch_harm_budget_used{{{WORKER}}})"
                            f" / max by (partition) (stillwatch_harm_budget_allowed{{{WORKER}}})",
                            "{{partition}}",
                        )
                    ],
                    "percentunit",
                    "At 1 further subjects are only observed.",
                    limit=1,
                ),
                Panel(
                    "Denials withheld", [rate("stillwatch_withheld_denials_total", WORKER, legend="withheld")], "ops"
                ),
                Panel(
                    "Simulated against enforced denials, an hour",
                    [
                        (
                            f"sum by (simulated) (increase(stillwatch_decisions_total{{{WORKER},{DENIED}}}[1h]))",
                            "simulated={{simulated}}",
                        )
                    ],
                ),
                Panel(
                    "Overrides and releases by operators",
                    [rate("stillwatch_decisions_total", f'{WORKER},origin="operator"', "action")],
                    "ops",
                    "Many releases mean that decisions were wrong.",
                ),
                Panel(
                    "Scores of decisions",
                    [(f"sum by (le) (stillwatch_decision_score_bucket{{{WORKER}}})", "up to {{le}}")],
                    text="Main reasons since the start, by score.",
                ),
            ],
        ),
        (
            "Limiters",
            [
                Panel("Checks by outcome", [rate("stillwatch_limiter_checks_total", LIMITER, "outcome")], "reqps"),
                Panel(
                    "Age of the table",
                    [(f"stillwatch_limiter_table_age_seconds{{{LIMITER}}}", "{{instance}}")],
                    "s",
                    limit=60,
                ),
                Panel(
                    "Unreadable and forged records",
                    [
                        rate("stillwatch_limiter_unreadable_records_total", LIMITER, legend="unreadable"),
                        rate("stillwatch_limiter_forged_records_total", LIMITER, legend="forged"),
                    ],
                    "ops",
                    "Ignored. Forged are those that no key of --verify-key has signed.",
                ),
            ],
        ),
    ],
)

CAMPAIGN = Dashboard(
    "stillwatch-campaigns",
    "Stillwatch: campaigns",
    [
        (
            "Campaigns",
            [
                Panel(
                    "Confirmed",
                    [(f'sum(stillwatch_campaigns_by_status{{{CAMPAIGNS},status="confirmed"}})', "campaigns")],
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "By kind and status",
                    [
                        (
                            f"sum by (kind, status) (stillwatch_campaigns_by_status{{{CAMPAIGNS}}})",
                            "{{kind}} {{status}}",
                        )
                    ],
                    width=10,
                ),
                Panel(
                    "Members of confirmed campaigns",
                    [(f"sum by (kind) (stillwatch_campaign_members{{{CAMPAIGNS}}})", "{{kind}}")],
                    width=10,
                ),
                Panel(
                    "Decisions for campaigns",
                    [rate("stillwatch_decision_reasons_total", f'{WORKER},reason=~"campaign|link"', "reason")],
                    "ops",
                    width=12,
                ),
                Panel(
                    "Posts to Alertmanager",
                    [rate("stillwatch_alert_posts_total", CAMPAIGNS, "outcome")],
                    "ops",
                    width=12,
                ),
            ],
        ),
        (
            "The stage",
            [
                Panel("Signals sent", [rate("stillwatch_signals_total", WORKER, legend="signals")], "ops"),
                Panel("Signals read", [rate("stillwatch_events_total", CAMPAIGNS, "outcome")], "ops"),
                Panel("Signals waiting", [(f"sum(stillwatch_consumer_lag_records{{{CAMPAIGNS}}})", "records")]),
                Panel(
                    "A tick takes",
                    [
                        (
                            f"sum(stillwatch_tick_seconds_sum{{{CAMPAIGNS}}})"
                            f" / sum(stillwatch_tick_seconds_count{{{CAMPAIGNS}}})",
                            "mean since start",
                        )
                    ],
                    "s",
                    limit=60,
                ),
                Panel("Tenants with state", [(f"sum(stillwatch_state_tenants{{{CAMPAIGNS}}})", "records")]),
                Panel(
                    "CPU and memory",
                    [
                        (f"rate(process_cpu_seconds_total{{{CAMPAIGNS}}}[$__rate_interval])", "cores {{instance}}"),
                        (f"process_resident_memory_bytes{{{CAMPAIGNS}}} / 2^30", "GiB {{instance}}"),
                    ],
                ),
            ],
        ),
    ],
)

DASHBOARDS = (HEALTH, DECISIONS, CAMPAIGN)


def model_of(dashboard: Dashboard) -> dict[str, Any]:
    """A dashboard as Grafana's JSON model."""
    source = {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": dashboard.name,
        "title": dashboard.title,
        "tags": ["stillwatch"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source | {"current": {"text": "prometheus", "value": "prometheus"}}]},
        "links": [{"title": "Stillwatch", "type": "dashboards", "tags": ["stillwatch"], "asDropdown": False}],
        "panels": list(_placed(dashboard.rows)),
    }


def _placed(rows: list[tuple[str, list[Panel]]]) -> Iterator[dict[str, Any]]:
    """Panels from left to right and from top to bottom, under their headings."""
    number, top = 0, 0
    for title, panels in rows:
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1}}
        top, left = top + 1, 0
        for panel in panels:
            number += 1
            if left + panel.width > _WIDTH:
                top, left = top + _HEIGHT, 0
            place = {"x": left, "y": top, "w": panel.width, "h": _HEIGHT}
            yield {"id": number, "gridPos": place} | _panel(panel)
            left += panel.width
        top += _HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    custom = {} if panel.limit is None else {"thresholdsStyle": {"mode": "line"}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
            | {"exemplar": panel.kind == "timeseries"}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def text_of(dashboard: Dashboard) -> str:
    """A dashboard's file."""
    return orjson.dumps(model_of(dashboard), option=orjson.OPT_INDENT_2).decode() + "\n"


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(text_of(dashboard))


if __name__ == "__main__":
    main()
