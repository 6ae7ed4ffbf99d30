"""Prometheus metrics of a console."""

from math import inf

from prometheus_client import CollectorRegistry, Counter, Gauge

from stream_app.console.topics import TopicsReader
from stream_app.console.view import View


class ConsoleMetrics:
    """Counts what people were answered; shows what the view holds at each scrape."""

    def __init__(self, registry: CollectorRegistry, view: View, reader: TopicsReader | None) -> None:
        self.answers = Counter("stillwatch_console_answers", "Pages and forms answered.", ["status"], registry=registry)
        Gauge(
            "stillwatch_console_view_age_seconds",
            "Seconds since the view held everything the topics had; +Inf before it ever did.",
            registry=registry,
        ).set_function(lambda: _age_s(reader))
        Gauge(
            "stillwatch_console_view_rows", "Decisions and members of campaigns in the view.", registry=registry
        ).set_function(view.size)
        Gauge(
            "stillwatch_console_unreadable_records",
            "Records of the topics that could not be read and changed nothing, since the start.",
            registry=registry,
        ).set_function(lambda: view.unreadable)


def _age_s(reader: TopicsReader | None) -> float:
    age_s = reader.age_s() if reader else 0.0
    return inf if age_s is None else age_s
