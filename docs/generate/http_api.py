"""The reference of the HTTP API, from the OpenAPI document."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import mreg
from docs.generate.cells import cell

START = """\
# HTTP API

[Use the HTTP API](../how-to/http.md) has examples, [Serve a registry](../how-to/serve.md) tokens and limits. A server
sends the OpenAPI document of this page at `GET /openapi.json`.

"""
CORE = (
    ("post", "/models"), ("get", "/models"), ("get", "/models/{model}"), ("post", "/models/{model}/versions"),
    ("get", "/models/{model}/versions/{version}"), ("post", "/models/{model}/versions/{version}/transition"),
    ("get", "/models/{model}/production"), ("get", "/models/{model}/compare"),
)  # fmt: skip
"""The routes of the core workflow, which the page lists first."""


def document() -> Any:
    """Return the OpenAPI document of a server without tokens."""
    from mreg.server.app import build_app
    from mreg.server.settings import ServerSettings

    with tempfile.TemporaryDirectory() as folder:
        catalog = os.path.join(folder, "catalog.db")
        with mreg.open_registry(catalog=catalog) as registry:
            return build_app(registry, ServerSettings()).openapi()  # type: ignore[arg-type]


def pages() -> dict[str, str]:
    """Return the page of all routes."""
    return {"reference/http.md": "".join(_page(document()))}


def _page(api: Any) -> Iterator[str]:
    yield f"{START}{api['info']['description']}\n\n## The core workflow\n\n"
    yield "| route | purpose |\n|---|---|\n"
    for method, path in CORE:
        yield f"| [`{method.upper()} {path}`](#{_anchor(method, path)}) | {_first(api['paths'][path][method])} |\n"
    tags: dict[str, list[tuple[str, str, Any]]] = {}
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            tags.setdefault(route["tags"][0], []).append((method, path, route))
    for tag, routes in tags.items():
        yield f"\n## {tag[0].upper()}{tag[1:]}\n"
        for method, path, route in routes:
            yield from _route(method, path, route, api)
    yield "\n## Errors\n\n| status | meaning |\n|---|---|\n"
    some_route = next(iter(api["paths"].values()))
    for status, answer in sorted(next(iter(some_route.values()))["responses"].items()):
        if status != "200":
            yield f"| {status} | {cell(answer['description'])} |\n"
    yield "\n[Exit codes](exit-codes.md#over-http) lists the codes of errors.\n"


def _route(method: str, path: str, route: Any, api: Any) -> Iterator[str]:
    yield f"\n### `{method.upper()} {path}` {{: #{_anchor(method, path)} }}\n\n{route.get('description', '')}\n\n"
    rows = [
        f"| `{parameter['name']}` | {parameter['in']} | {_type(parameter['schema'])} | {_about(parameter)} |\n"
        for parameter in route.get("parameters", ())
    ]
    rows += _body_rows(route, api)
    if rows:
        yield "| parameter | in | type | meaning |\n|---|---|---|---|\n" + "".join(rows) + "\n"
    content = route["responses"]["200"].get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if name := _name(schema):
        many = "a list of " if schema.get("type") == "array" else ""
        yield f"Answers {many}[{name}](json.md#{name.lower()}).\n"
    if "example" in content.get("application/json", {}):
        example = json.dumps(content["application/json"]["example"], indent=2, ensure_ascii=False)
        yield f'\n??? example "Answer"\n\n    ```json\n{_indented(example)}\n    ```\n'


def _body_rows(route: Any, api: Any) -> Iterator[str]:
    queries = {parameter["name"] for parameter in route.get("parameters", ())}
    for kind, content in route.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        shape = api["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        where = "form" if "form" in kind else "JSON body"
        for key, value in shape.get("properties", {}).items():
            if key not in queries:
                required = key in shape.get("required", ())
                yield f"| `{key}` | {where} | {_type(value)} | {_about({**value, 'required': required})} |\n"


def _about(described: Any) -> str:
    text = described.get("description") or described.get("schema", {}).get("description") or ""
    return cell(f"{text} (required)" if described.get("required") is True else text)


def _type(schema: Any) -> str:
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return "file"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "object"))


def _name(schema: Any) -> str:
    reference = schema.get("$ref") or schema.get("items", {}).get("$ref") or ""
    return str(reference).rpartition("/")[2]


def _first(route: Any) -> str:
    return cell(str(route.get("description", "")).split("\n\n")[0])


def _anchor(method: str, path: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in path).split()
    return "-".join([method, *words])


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines()).rstrip("\n")
