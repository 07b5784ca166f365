"""The OpenAPI document of `mreg serve`: recorded at a release, and compared by the compatibility rule.

``python -m tests.api_document`` records the document of this release.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "compat"

Document = Mapping[str, Any]


def recorded(api: int) -> Document:
    """Return the document that was recorded for an API version."""
    document: Document = json.loads((RECORDED / f"api-{api}.json").read_text())
    return document


def current() -> Document:
    """Return the document of this release, of a server with tokens."""
    import mreg
    from mreg.server.app import build_app
    from mreg.server.settings import ServerSettings

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with mreg.open_registry(catalog=str(place / "catalog.db"), artifacts=str(place / "artifacts")) as registry:
            document: Document = json.loads(json.dumps(build_app(registry, ServerSettings()).openapi()))  # type: ignore[arg-type]
            return document


NOT_COMPARED = {"description", "example", "examples", "title", "summary", "tags", "operationId", "default", "security"}
"""Keys of an operation or a schema that the rule says nothing about."""


def compared(document: Document) -> Document:
    """Return the parts of a document that the rule is about: without texts, and without the responses to errors."""
    return {
        "paths": {
            path: {method: _compared(op) for method, op in ops.items()} for path, ops in document["paths"].items()
        },
        "components": {
            "schemas": {name: _compared(schema) for name, schema in document["components"]["schemas"].items()}
        },
    }


def _compared(value: Any, *, names: bool = False) -> Any:
    if isinstance(value, list):
        return [_compared(item) for item in value]
    if not isinstance(value, dict):
        return value
    if names:  # of properties, which can have any name
        return {key: _compared(item) for key, item in value.items()}
    kept = {key: item for key, item in value.items() if key not in NOT_COMPARED}
    if isinstance(kept.get("responses"), dict):
        kept["responses"] = {status: item for status, item in kept["responses"].items() if status.startswith("2")}
    return {key: _compared(item, names=key == "properties") for key, item in kept.items()}


def breaks(old: Document, new: Document) -> Iterator[str]:
    """Yield what a client of the old document could trip over with a server of the new one."""
    for path, operations in old["paths"].items():
        for method, operation in operations.items():
            where = f"{method.upper()} {path}"
            later = new["paths"].get(path, {}).get(method)
            if later is None:
                yield f"{where}: removed"
                continue
            yield from _parameters(where, old, operation, new, later)
            yield from _body(where, old, operation, new, later)
            yield from _responses(where, old, operation, new, later)


def _parameters(where: str, old: Document, before: Document, new: Document, after: Document) -> Iterator[str]:
    known = {(item["in"], item["name"]): item for item in before.get("parameters", ())}
    later = {(item["in"], item["name"]): item for item in after.get("parameters", ())}
    for key, item in known.items():
        if key not in later:
            yield f"{where}: parameter {key[1]} removed"
        else:
            yield from _takes(f"{where}: parameter {key[1]}", old, item["schema"], new, later[key]["schema"])
    for key, item in later.items():
        if item.get("required") and not known.get(key, {}).get("required"):
            yield f"{where}: parameter {key[1]} required"


def _body(where: str, old: Document, before: Document, new: Document, after: Document) -> Iterator[str]:
    known, later = (found.get("requestBody", {}).get("content", {}) for found in (before, after))
    if after.get("requestBody", {}).get("required") and not before.get("requestBody", {}).get("required"):
        yield f"{where}: body required"
    for kind, content in known.items():
        if kind not in later:
            yield f"{where}: body of type {kind} removed"
        else:
            yield from _takes(f"{where}: body", old, content.get("schema", {}), new, later[kind].get("schema", {}))


def _responses(where: str, old: Document, before: Document, new: Document, after: Document) -> Iterator[str]:
    for status, response in before["responses"].items():
        if not status.startswith("2"):
            continue
        for kind, content in response.get("content", {}).items():
            later = after["responses"].get(status, {}).get("content", {}).get(kind)
            if later is None:
                yield f"{where}: response {status} of type {kind} removed"
            else:
                # The old client takes what the new server gives: the same comparison with the sides exchanged.
                yield from _takes(
                    f"{where}: response", new, later.get("schema", {}), old, content.get("schema", {}), given=True
                )


def _takes(
    where: str,
    giving: Document,
    given_schema: Document,
    taking: Document,
    schema: Document,
    *,
    given: bool = False,
    seen: tuple[tuple[str, str], ...] = (),
) -> Iterator[str]:
    """Yield the values of the first schema that the second does not take.

    Args:
        given: The values are a response: a client needs each key that it knows, and ignores others.
    """
    pair = (given_schema.get("$ref", ""), schema.get("$ref", ""))
    if all(pair) and pair in seen:
        return
    seen = (*seen, pair)
    sources, targets = _alternatives(giving, given_schema), _alternatives(taking, schema)
    for source in sources:
        if not source or any(not target for target in targets):  # any value
            if source or any(not target for target in targets):
                continue
            yield f"{where}: no longer any value"
            continue
        fitting = [target for target in targets if _same_type(source, target)]
        if not fitting:
            yield f"{where}: type {source.get('type')} not taken"
            continue
        target = fitting[0]
        if "enum" in target and not set(source.get("enum", [None])) <= set(target["enum"]):
            yield f"{where}: values {sorted(map(str, set(source.get('enum', [])) - set(target['enum'])))} not taken"
        if source.get("type") == "array":
            yield from _takes(
                f"{where}[]", giving, source.get("items", {}), taking, target.get("items", {}), given=given, seen=seen
            )
        if source.get("type") == "object":
            yield from _object(where, giving, source, taking, target, given=given, seen=seen)


def _object(
    where: str,
    giving: Document,
    source: Document,
    taking: Document,
    target: Document,
    *,
    given: bool,
    seen: tuple[tuple[str, str], ...],
) -> Iterator[str]:
    offered, taken = source.get("properties", {}), target.get("properties", {})
    needed = set(target.get("required", ()))
    always = set(source.get("required", ()))
    for key in sorted(needed - always):
        yield f"{where}.{key}: {'removed or optional' if given else 'required'}"
    for key in offered:
        if key in taken:
            yield from _takes(f"{where}.{key}", giving, offered[key], taking, taken[key], given=given, seen=seen)
        elif not given and taken:
            yield f"{where}.{key}: removed"
    more, other = source.get("additionalProperties"), target.get("additionalProperties")
    if isinstance(more, Mapping) and isinstance(other, Mapping):
        yield from _takes(f"{where}.*", giving, more, taking, other, given=given, seen=seen)


def _alternatives(document: Document, schema: Document) -> list[Document]:
    """Return the types that a schema allows, without references."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"].get(name, {})
    if "anyOf" in schema:
        return [inner for part in schema["anyOf"] for inner in _alternatives(document, part)]
    return [schema if {"type", "enum", "const"} & schema.keys() else {}]


def _same_type(source: Document, target: Document) -> bool:
    kinds = (source.get("type"), target.get("type"))
    return kinds[0] == kinds[1] or kinds == ("integer", "number")


def main() -> None:
    """Record the document of this release."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from mreg.wire.protocol import API

    text = json.dumps(compared(current()), indent=1, sort_keys=True, ensure_ascii=False)
    (RECORDED / f"api-{API}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
