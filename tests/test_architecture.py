"""Which part may import which, how long a module may be, and words that say nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "stream_app"
MODULES = sorted(ROOT.rglob("*.py"))
DETECTION = sorted((ROOT / "detection").rglob("*.py"))

#: What a part may import of the others; parts that compose (the command line, the demo) are not listed.
ALLOWED: dict[str, set[str]] = {
    "detection": set(),
    "replay": {"detection"},
    "backfills": {"detection"},
    "verifications": {"detection"},
    "what_if": {"detection", "replay"},
    "sketches": set(),
    "simulate": {"sketches"},
    "evaluation": set(),
    "topology": set(),
    "grants": {"topology"},
    "settings": {"topology"},
    "policies": {"detection", "settings"},
    "signatures": set(),
    "sharing": {"detection", "signatures", "sketches"},
    "signed_records": {"signatures"},
    "metrics": {"__version__", "detection"},
    "limiter": {"detection", "signatures", "signed_records", "topology"},
    "gateways": {"adapters", "detection", "limiter", "settings", "signatures", "sketches", "topology"},
    "garbage": set(),
    "quantities": set(),
    "particulars": {"detection", "quantities"},
    "memberships": {"detection", "particulars", "quantities"},
    "stories": {"detection", "memberships", "particulars", "quantities"},
    "plots": {"detection", "memberships", "quantities", "stories"},
    "reports": {"detection", "memberships", "plots", "quantities", "replay", "stories", "what_if"},
    "dossiers": {"__version__", "detection", "memberships", "plots", "quantities", "reports", "signatures"},
    "web_security": {"settings"},
    "logs": {"settings"},
    "adapters": {
        *("detection", "grants", "metrics", "settings", "signatures", "signed_records", "topology"),
        *("verifications", "web_security"),
    },
    "console": {
        *("__version__", "adapters", "detection", "dossiers", "memberships", "plots", "quantities"),
        *("reports", "settings", "signatures", "signed_records", "stories", "topology", "web_security"),
    },
    "agents": {"adapters", "detection", "metrics"},
    "app": {"adapters", "agents", "detection", "metrics", "settings", "sharing", "signatures", "topology"},
}
#: No network, clock, file, environment, chance or concurrency where decisions are made.
IMPURE = {
    *("faust", "mode", "kafka", "aiokafka", "confluent_kafka", "prometheus_client", "aiohttp", "requests", "logging"),
    *("time", "os", "sys", "io", "pathlib", "socket", "random", "secrets", "uuid"),
    *("asyncio", "threading", "multiprocessing", "subprocess", "pickle"),
}
FAUST_AND_KAFKA = {"faust", "mode", "kafka", "aiokafka", "confluent_kafka"}
MAX_LINES = 260
EMPTY_WORDS = re.compile(
    r"manager|handler|helper|utils?$|common|misc|engine|^base$|^(data|info|process)$", re.IGNORECASE
)


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    return name.split(".")[1] if name.startswith("stream_app.") else ""


def outside(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_parts_import_only_what_lies_below_them(part: str) -> None:
    paths = [path for path in MODULES if path.relative_to(ROOT).with_suffix("").parts[0] == part]
    assert paths
    found = {part_of(name) for path in paths for name in imports(path)} - {"", part}
    assert found <= ALLOWED[part]


@pytest.mark.parametrize("path", DETECTION, ids=named)
def test_the_core_is_pure(path: Path) -> None:
    assert outside(path).isdisjoint(IMPURE)
    assert not re.search(r"\b(datetime|date)\.(now|today|utcnow)\(|\bopen\(|\bprint\(", path.read_text())


@pytest.mark.parametrize("path", [ROOT / "replay.py", *sorted((ROOT / "simulate").rglob("*.py"))], ids=named)
def test_replay_and_simulation_know_no_broker(path: Path) -> None:
    assert outside(path).isdisjoint(FAUST_AND_KAFKA)


def test_only_the_worker_knows_faust() -> None:
    parts = {path.relative_to(ROOT).parts[0] for path in MODULES if {"faust", "mode"} & outside(path)}
    assert parts <= {"adapters", "agents", "app.py", "cli"}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_modules_are_short_and_named_by_the_glossary(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    words = [path.stem, *classes]
    assert [word for word in words if EMPTY_WORDS.search(word)] == []
