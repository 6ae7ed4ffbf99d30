"""Dashboards: the committed files are those that the code writes, and everything in them has its place."""

import importlib.util
import re
import sys
from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.operations.programs import DEPLOY, RULES, run
from tests.operations.test_rules import ALERTS, RECORDED, exported

_SPEC = importlib.util.spec_from_file_location("dashboards", DEPLOY / "grafana" / "dashboards.py")
assert _SPEC
assert _SPEC.loader
dashboards: Any = importlib.util.module_from_spec(_SPEC)
sys.modules["dashboards"] = dashboards  # its NamedTuples ask for it
_SPEC.loader.exec_module(dashboards)

DASHBOARDS = dashboards.DASHBOARDS
QUERIES = [query for board in DASHBOARDS for _, panels in board.rows for panel in panels for query, _ in panel.queries]


def by_name(board: Any) -> str:
    return str(board.name)


@pytest.mark.parametrize("board", DASHBOARDS, ids=by_name)
def test_the_file_is_what_the_code_writes(board: Any) -> None:
    assert (dashboards.FOLDER / f"{board.name}.json").read_text() == dashboards.text_of(board)


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in dashboards.FOLDER.iterdir()} == {board.name for board in DASHBOARDS}


@pytest.mark.parametrize("board", DASHBOARDS, ids=by_name)
def test_no_panel_lies_on_another(board: Any) -> None:
    places = [panel["gridPos"] for panel in dashboards.model_of(board)["panels"]]
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_queries_rest_on_metrics_that_there_are() -> None:
    named = {name for query in QUERIES for name in re.findall(r"\bstillwatch[a-z_:]+[a-z0-9_]*", strip(query))}
    assert named <= exported() | RECORDED


def strip(query: str) -> str:
    return re.sub(r'"[^"]*"', "", query)


def test_every_query_parses(tmp_path: Any) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run("promtool", "check", "rules", path)


def test_alerts_lead_to_dashboards_that_there_are() -> None:
    assert RULES
    linked = {rule["annotations"]["dashboard_url"].rpartition("/d/")[2] for rule in ALERTS}
    assert linked <= {board.name for board in DASHBOARDS}
