"""Documents against code: what exists is documented, and what is documented exists."""

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from stream_app.cli import main
from stream_app.console.metrics import ConsoleMetrics
from stream_app.console.view import View
from stream_app.detection.decode import RejectReason
from stream_app.detection.features import FEATURES, Feature
from stream_app.detection.link_rules import LinkRules
from stream_app.detection.policy import Policy, load_policy
from stream_app.detection.rules import (
    AllowEntry,
    FeatureRule,
    HarmBudget,
    HarmBudgets,
    PolicyOverride,
    RungRule,
    Together,
    Watched,
    WatchEntry,
)
from stream_app.grants import COMPONENTS
from stream_app.limiter.decisions_table import DecisionsTable
from stream_app.limiter.metrics import LimiterMetrics
from stream_app.metrics import Metrics
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.simulate.campaigns import SCENARIOS
from stream_app.simulate.campaigns.hard_negatives import HARD_NEGATIVES
from stream_app.simulate.campaigns.wrappers import FAMILIES
from stream_app.topology import DAY_MS, TOPICS, TopicName, TopicSpec

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FOLDERS = ("docs", "k8s", "deploy", "schemas", "stream_app", "tests", "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
CODE = [
    path
    for folder in ("stream_app", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON_INPUT = re.compile(r"<<'EOF'\n(.*?)^EOF$", re.MULTILINE | re.DOTALL)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def rows(name: str) -> dict[str, list[str]]:
    """Rows of all tables of a page by their first cell; cells without backquotes."""
    lines = (line.strip() for line in text_of(name).splitlines())
    cells = (
        [cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in lines if line[:1] == "|"
    )
    return {row[0].strip("| "): [cell.strip("| ") for cell in row[1:]] for row in cells}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, as its words after ``stillwatch``."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


COMMANDS = sorted(commands(main))


def shown_commands(page: Path) -> Iterator[list[str]]:
    """Words after ``stillwatch`` of every command line that a page shows."""
    text = page.read_text()
    blocks = PYTHON_INPUT.sub("", "\n".join(match[2] for match in FENCE.finditer(text) if match[1] == "sh"))
    spans = re.findall(r"`(stillwatch [^`\n]+)`", FENCE.sub("", text))
    for line in [*blocks.splitlines(), *spans]:
        words = shlex.split(line, comments=True)
        if "stillwatch" in words:
            after = words[words.index("stillwatch") + 1 :]
            yield list(takewhile(lambda word: word not in {"|", ">", "<", "&", ";", "&&"}, after))


SHOWN = [(page, words) for page in PAGES for words in shown_commands(page)]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    shown = str(default).lower() if default is None or isinstance(default, bool) else str(default)
    assert rows("settings")[f"STILLWATCH_{name.upper()}"][1] == shown


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_variable_named_is_read_somewhere(page: Path) -> None:
    known = {f"STILLWATCH_{name.upper()}" for name in Settings.model_fields}
    known |= {name for path in CODE for name in re.findall(r"STILLWATCH_[A-Z_]*[A-Z]", path.read_text())}
    assert set(re.findall(r"STILLWATCH_[A-Z_]*[A-Z]", page.read_text())) <= known


@pytest.mark.parametrize(
    "name",
    ["STILLWATCH_TEST_BROKER", "STILLWATCH_SHARED_DATA", "STILLWATCH_SKETCH_KEY_FILE", "STILLWATCH_SKETCH_WEIGHTS"],
)
def test_variables_outside_the_worker_are_documented(name: str) -> None:
    assert name in rows("settings")


def families() -> dict[str, str]:
    """Our metrics and their types."""
    registry = CollectorRegistry()
    Metrics(registry)
    LimiterMetrics(registry, DecisionsTable(), lambda: 0, lambda: True)
    ConsoleMetrics(registry, View(), None)
    return {family.name: family.type for family in registry.collect()}


def test_metrics_are_documented_by_name_and_type_and_no_others() -> None:
    assert {name: row[0] for name, row in rows("metrics").items() if name.startswith("stillwatch")} == families()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.code)
def test_every_feature_is_documented_with_its_rule(feature: Feature) -> None:
    rule = load_policy(DEFAULT_POLICY.read_text(), "default").features[feature.code]
    judged = "close" if feature.counter is None else "trip"
    expected = [feature.unit, f"{feature.window_s} s", judged, f"{rule.floor:.0f}", rule.up_to.value]
    assert rows("detection")[feature.code] == expected


POLICY_PARTS = (
    Policy,
    RungRule,
    FeatureRule,
    PolicyOverride,
    AllowEntry,
    WatchEntry,
    Watched,
    HarmBudgets,
    HarmBudget,
    Together,
    LinkRules,
)


@pytest.mark.parametrize("model", POLICY_PARTS, ids=lambda model: model.__name__)
def test_every_policy_key_is_documented(model: type[BaseModel]) -> None:
    assert model.model_fields.keys() <= rows("policy").keys()


def test_the_rungs_of_the_default_policy_are_those_documented() -> None:
    for rung, rule in load_policy(DEFAULT_POLICY.read_text(), "default").rungs.items():
        values = [rule.enter, rule.leave, rule.ttl_s, rule.max_ttl_s, rule.after_s]
        assert [float(cell) for cell in rows("policy")[rung.value]] == values


def test_the_policy_shown_is_one() -> None:
    whole, *parts = [match[2] for match in FENCE.finditer(text_of("policy")) if match[1] == "yaml"]
    assert parts
    load_policy("\n".join([whole, *parts]), "docs/policy.md")


@pytest.mark.parametrize("name", [*RejectReason, *TopicName], ids=str)
def test_every_refusal_and_topic_is_documented(name: str) -> None:
    assert str(name) in rows("operating")


@pytest.mark.parametrize("spec", TOPICS, ids=lambda spec: spec.name)
def test_what_every_topic_keeps_of_a_tenant_is_documented(spec: TopicSpec) -> None:
    _, how_long, erased = rows("retention")[spec.name]
    retention_ms = int(spec.config.get("retention.ms", 0))
    if "compact" in spec.config["cleanup.policy"]:
        assert "tombstone" in erased
    else:
        days = retention_ms // DAY_MS
        assert how_long == ("for ever" if retention_ms < 0 else f"{days} day{'s' * (days != 1)}")


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_users_rights_are_documented(name: str) -> None:
    of = COMPONENTS[name]
    told = rows("threat-model")[name]
    assert told[:3] == [of.does, ", ".join(of.reads) or "-", ", ".join(of.writes) or "-"]
    assert ("joins" in told[3]) == (of.stage is not None)
    assert ("creates" in told[3]) == of.creates
    assert ("cluster" in told[3]) == of.sees_cluster
    assert ("settings" in told[3]) == of.sees_all


@pytest.mark.parametrize("name", TopicName)
def test_who_reads_and_writes_a_topic_is_documented(name: TopicName) -> None:
    told = dict(zip(rows("threat-model")["Topic"], rows("threat-model")[name], strict=True))
    assert told == {
        user: "r" * (name in of.reads) + "w" * (name in of.writes) or "-" for user, of in COMPONENTS.items()
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_documented(words: tuple[str, ...]) -> None:
    assert f"stillwatch {' '.join(words)}" in rows("operating")


@pytest.mark.parametrize("name", [*SCENARIOS, *HARD_NEGATIVES, *FAMILIES])
def test_every_scenario_hard_negative_and_family_is_documented(name: str) -> None:
    assert f"`{name}`" in text_of("distillbench") or name.removeprefix("family-").replace("-", "_") in FAMILIES


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[f"{named(page)}: {' '.join(words)}" for page, words in SHOWN])
def test_every_command_shown_exists(page: Path, words: list[str]) -> None:
    command: click.Command = main
    path: list[str] = []
    for word in words:
        if not isinstance(command, click.Group) or word in {"…", "--help"}:
            break
        path.append(word)
        found = command.get_command(click.Context(command), word)
        assert found, f"{named(page)} shows stillwatch {' '.join(path)}"
        command = found
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0, done.output
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", done.output))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_shown_compiles(page: Path) -> None:
    for match in FENCE.finditer(page.read_text()):
        for source in PYTHON_INPUT.findall(match[2]):
            compile(source, named(page), "exec")
