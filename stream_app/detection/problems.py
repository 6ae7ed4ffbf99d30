"""Where in a policy's text something is wrong."""

import re
from typing import Any

import yaml


def problem(name: str, root: yaml.Node | None, wrong: dict[str, Any]) -> str:
    """File, line, key and message of one thing that is wrong in a policy (an error of pydantic's)."""
    path = [str(part) for part in wrong["loc"] if part != "[key]"]
    message = re.sub(r"<Action\.\w+: ('\w+')>", r"\1", str(wrong["msg"])).removeprefix("Value error, ")
    return f"{name}:{_line_of(root, path)}: {'.'.join(path) or 'policy'}: {message}"


def _line_of(node: yaml.Node | None, path: list[str]) -> int:
    line = node.start_mark.line + 1 if node else 1
    for part in path:
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line
