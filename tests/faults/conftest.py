"""The battery's marker, its deployments, and the table at its end."""

from collections.abc import Iterator

import pytest

from tests.faults.deployments import ROWS, Deployments


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: hurts workers, brokers and networks, and takes minutes")


@pytest.fixture(scope="session")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployments]:
    """The deployments of this run."""
    found = Deployments(lambda: tmp_path_factory.mktemp("trial"))
    yield found
    found.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("faults")
    heads = (
        "case",
        "events",
        "decisions",
        "lost",
        "double",
        "wrong",
        "states",
        "differing",
        "first s",
        "all s",
        "took s",
    )
    terminalreporter.write_line(_line(heads))
    for row in ROWS:
        verdict = row.verdict
        waits = [f"{max(times):.1f}" for times in zip(*row.takeovers, strict=True)] or ["", ""]
        differing = verdict.missing + verdict.extra + verdict.differing + verdict.letters
        cells = (verdict.events, verdict.decisions, verdict.lost, verdict.double, verdict.wrong)
        states = verdict.states + verdict.positions
        terminalreporter.write_line(_line((row.case, *cells, states, differing, *waits, f"{row.took_s:.0f}")))


def _line(cells: tuple[object, ...]) -> str:
    first, *others = cells
    return f"{first:<28}" + "".join(f"{cell:>10}" for cell in others)
