"""The battery's marker, its deployments, and the table at its end."""

from collections.abc import Iterator

import pytest

from tests.faults.deployments import Deployments

HEADS = (
    *("case", "events", "decisions", "lost", "double", "wrong", "states", "differing"),
    *("first s", "all s", "took s"),
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: hurts workers, brokers and networks, and takes minutes")


@pytest.fixture(scope="session")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployments]:
    """The deployments of this run."""
    found = Deployments(lambda: tmp_path_factory.mktemp("trial"))
    yield found
    found.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    rows = [row for report in calls for name, row in report.user_properties if name == "row"]
    if not rows:
        return
    terminalreporter.section("faults")
    for row in (HEADS, *rows):
        first, *others = row
        terminalreporter.write_line(f"{first:<28}" + "".join(f"{cell:>10}" for cell in others))
