"""Cut the operations that trackers use out of a published API description (OpenAPI 3, JSON).

    python scripts/api_excerpt.py api.github.com.json tests/unit/ops/trackers/github_api.json.gz

Descriptions, examples and what is not reached are left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

OPERATIONS = {
    "/repos/{owner}/{repo}/issues": ("get", "post"),
    "/repos/{owner}/{repo}/issues/{issue_number}": ("get", "patch"),
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ("get", "post"),
    "/repos/{owner}/{repo}/labels": ("post",),
    "/repos/{owner}/{repo}/labels/{name}": ("get",),
}
LEFT_OUT = ("description", "example", "examples", "summary", "tags", "externalDocs", "x-github")


def excerpt(api: dict[str, Any]) -> dict[str, Any]:
    """The used operations, and every component they lead to."""
    paths = {
        path: {method: plain(api["paths"][path][method]) for method in methods}
        for path, methods in OPERATIONS.items()
    }
    components: dict[str, dict[str, Any]] = {}
    waiting = references(paths)
    while waiting:
        kind, name = waiting.pop().removeprefix("#/components/").split("/")
        if name in components.setdefault(kind, {}):
            continue
        components[kind][name] = plain(api["components"][kind][name])
        waiting |= references(components[kind][name])
    return {
        "source": f"{api['info']['title']} {api['info']['version']}",
        "license": api["info"]["license"]["name"],
        "paths": paths,
        "components": components,
    }


def plain(value: Any, is_named: bool = False) -> Any:
    """A part of the description without prose.

    :param is_named: the keys are names of fields, not words of the description.
    """
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: plain(each, name == "properties" and not is_named)
        for name, each in value.items()
        if is_named or name not in LEFT_OUT
    }


def references(value: Any) -> set[str]:
    """What a part refers to."""
    if isinstance(value, list):
        return {found for each in value for found in references(each)}
    if not isinstance(value, dict):
        return set()
    found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return found | {each for part in value.values() for each in references(part)}


def main() -> None:
    """Write the excerpt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("description", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    made = json.dumps(excerpt(json.loads(given.description.read_text())), sort_keys=True)
    given.output.write_bytes(gzip.compress(made.encode(), mtime=0))


if __name__ == "__main__":
    main()
