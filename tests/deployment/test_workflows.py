"""The hosted workflows, without a host: they do what a person would, and nothing else."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.brokers import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yml")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(name: str) -> str:
    return "\n".join(step.get("run", "") for job in FILES[name]["jobs"].values() for step in job["steps"])


def test_every_python_that_is_promised_is_tried() -> None:
    (job,) = FILES["ci"]["jobs"].values()
    promised = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert job["strategy"]["matrix"]["python"] == promised
    assert ".ci/run" in commands("ci")


def test_a_release_brings_the_list_of_what_is_in_it() -> None:
    made = commands("release")
    assert made.index("make dist sbom") < made.index("stillwatch demo") < made.index("gh release create")
    assert re.search(r"gh release create .* dist/\*$", made, re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_targets_exist_and_rights_are_few(name: str) -> None:
    asked = {word for line in re.findall(r"^make (.+)$", commands(name), re.MULTILINE) for word in line.split()}
    assert asked <= TARGETS
    assert FILES[name]["permissions"] == {"contents": "write" if name == "release" else "read"}
