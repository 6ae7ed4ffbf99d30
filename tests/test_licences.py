"""What is installed with the package may be passed on under Apache-2.0."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

PERMISSIVE = re.compile(
    r"Apache|MIT|BSD|PSF|Python Software Foundation|MPL|Mozilla Public License 2\.0|Zlib|CC0|Repoze Public License",
    re.I,
)


def needed() -> list[str]:
    """Every package that an installation brings here, by name."""
    found: dict[str, None] = {}
    waiting = ["stillwatch"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform or Python
            continue
        found[name] = None
        wanted = [Requirement(line) for line in requires]
        waiting += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return sorted(found)


def licences(of: Distribution) -> list[str]:
    """By expression, by classifiers, or else by the first line of the text."""
    told = of.metadata
    if told["License-Expression"]:
        return [told["License-Expression"]]
    classified = [line.split(" :: ")[-1] for line in told.get_all("Classifier", []) if line.startswith("License ::")]
    return classified or (told["License"] or "").splitlines()[:1]


@pytest.mark.parametrize("name", needed())
def test_a_dependency_may_be_passed_on(name: str) -> None:
    told = licences(distribution(name))
    assert told, f"{name} does not say under which licence it is"
    assert all(PERMISSIVE.search(licence) for licence in told), told
    assert not any("GPL" in licence for licence in told), told


def test_the_walk_reaches_what_is_brought_along() -> None:
    assert {"faust-streaming", "mode-streaming", "numpy", "river"} <= set(needed())
