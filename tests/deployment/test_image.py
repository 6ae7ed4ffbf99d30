"""The image's recipe and its locks, without an engine."""

import re
import tomllib

from packaging.requirements import Requirement

from tests.brokers import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^(?=FROM )", DOCKERFILE.replace("\\\n", " "), flags=re.MULTILINE)[1:]
IGNORE = (ROOT / ".dockerignore").read_text().splitlines()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def lines(stage: str, instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} +(.+)$", stage, re.MULTILINE)


def pins(name: str) -> dict[str, list[str]]:
    """Package to the versions pinned, with their markers, and to the hashes that each must have."""
    text = (ROOT / name).read_text()
    found: dict[str, list[str]] = {}
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE):
        if pin := re.match(r"([a-z0-9._-]+)(==[^\\]+?) *\\", block):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), pin[0]
            found.setdefault(pin[1], []).append(pin[2])
    return found


def test_all_stages_are_of_one_python_version() -> None:
    assert {line.split()[0] for stage in STAGES for line in lines(stage, "FROM")} == {"python:3.11-slim-bookworm"}


def test_it_runs_as_a_user_without_a_name_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", lines(STAGES[-1], "USER")[-1])


def test_whatever_is_installed_has_a_hash_and_nothing_is_in_the_last_stage() -> None:
    installs = [
        command
        for stage in STAGES
        for run in lines(stage, "RUN")
        for command in run.split("&&")
        if re.search(r"\binstall\b", command) and "pip" in command
    ]
    assert [command for command in installs if "uninstall" not in command and "--require-hashes" not in command] == [
        command for command in installs if "--no-index" in command
    ]
    assert not re.search(r"apt|curl|wget|pip install|gcc|ADD ", STAGES[-1])


def test_what_is_alive_is_asked_for_without_a_shell() -> None:
    assert re.search(r"^HEALTHCHECK .*CMD \[\"python\"", STAGES[-1], re.MULTILINE)
    assert lines(STAGES[-1], "ENTRYPOINT") == ['["stillwatch"]']


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    copied = {source for stage in STAGES for line in lines(stage, "COPY") for source in line.split()[:-1]}
    copied -= {"--from=build", "/opt/stillwatch"}
    assert IGNORE[1] == "*"
    assert {line[1:] for line in IGNORE if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_has_what_the_tests_ran_with_and_no_tools() -> None:
    tested, shipped = pins("requirements.lock"), pins("deploy/image.lock")
    assert {name: tested[name] for name in shipped} == shipped
    wanted = {Requirement(line).name for line in PYPROJECT["project"]["dependencies"]}
    assert wanted <= shipped.keys()
    tools = {Requirement(line).name for line in PYPROJECT["dependency-groups"]["dev"] if isinstance(line, str)}
    assert tools.isdisjoint(shipped)


def test_the_builder_of_the_wheel_is_locked_too() -> None:
    tested, building = pins("requirements.lock"), pins("deploy/image-build.lock")
    assert {Requirement(line).name for line in PYPROJECT["build-system"]["requires"]} <= building.keys()
    assert {name: tested[name] for name in building} == building
