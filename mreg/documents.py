"""The one strict reader of YAML and JSON that people hand in: profiles, project files, metrics and parameters.

Refused, each with file and line: duplicate keys, anchors and aliases (which can explode), tags (which can make
objects), NaN and infinities, anything nested deeper than `DEPTH_LIMIT`, larger than `SIZE_LIMIT`, or not UTF-8.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mreg.domain.metrics import MetricValue, parse_metric
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_value, quoted
from mreg.errors import BadInput, NotFound, Unavailable

if TYPE_CHECKING:
    from mreg.domain.policy import Policy

SIZE_LIMIT = 4 << 20
"""Bytes of a document."""

DEPTH_LIMIT = 30


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value with the text that stood for it.

    Attributes:
        text: As written, without quotes.
        kind: string, number, boolean or null.
    """

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a document and the line on which it begins (1 for the first; 0 in JSON, which has no lines to tell).

    Attributes:
        value: A scalar, a list of nodes, or nodes by key.
    """

    value: Scalar | list[Node] | dict[str, Node]
    line: int


def read_document(path: str | os.PathLike[str], *, what: str = "file") -> Node:
    """The document in a file: JSON where its name ends in ``.json``, else YAML.

    Raises:
        NotFound: There is no such file.
        BadInput: It is no file, or is refused for what it holds.
        Unavailable: It can't be read.
    """
    place = os.fspath(path)
    data = _bytes(place, what)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput(f"{_where(place, line)}: not UTF-8", hint="save it as UTF-8") from None
    return json_document(text, place) if place.lower().endswith(".json") else _yaml(text, place)


def _bytes(place: str, what: str) -> bytes:
    try:
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise NotFound(f"the {what} {quoted(place)} does not exist", hint="check the path", kind="file") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadInput(f"the {what} {quoted(place)} is a link that leads to itself") from error
        raise Unavailable(f"the {what} {quoted(place)} can't be read: {error.strerror}") from error
    except ValueError:
        raise BadInput(f"{quoted(place)} is no path") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"the {what} {quoted(place)} is no regular file")
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise BadInput(f"the {what} {quoted(place)} is larger than {SIZE_LIMIT >> 20} MiB")
    return data


def _where(place: str, line: int) -> str:
    return f"{quoted(place, 200)}, line {line}" if line else quoted(place, 200)


def at(place: str | os.PathLike[str], node: Node) -> str:
    """Where a node is, for messages: ``'profiles.yaml', line 3``."""
    return _where(os.fspath(place), node.line)


# JSON


def json_document(text: str, place: str) -> Node:
    """The document that is a JSON text.

    Args:
        place: What messages call it.

    Raises:
        BadInput: It is none, or is refused for what it holds.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise BadInput(f"{quoted(place, 200)}: the key {quoted(twice)} is given twice")
        return found

    def constant(word: str) -> Any:
        raise BadInput(f"{quoted(place, 200)}: {word} is no JSON number")

    def number(word: str) -> Scalar:
        return Scalar(word, "number")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number, parse_int=number)
    except RecursionError:
        raise BadInput(f"{quoted(place, 200)}: nested too deeply") from None
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise BadInput(f"{_where(place, line)}: no JSON: {getattr(error, 'msg', error)}") from None
    return _json_node(value, place, 0)


def _json_node(value: Any, place: str, depth: int) -> Node:
    if depth > DEPTH_LIMIT:
        raise BadInput(f"{quoted(place, 200)}: nested deeper than {DEPTH_LIMIT}")
    if isinstance(value, dict):
        return Node({key: _json_node(one, place, depth + 1) for key, one in value.items()}, 0)
    if isinstance(value, list):
        return Node([_json_node(one, place, depth + 1) for one in value], 0)
    if isinstance(value, Scalar):
        return Node(value, 0)
    if value is None:
        return Node(Scalar("null", "null"), 0)
    if isinstance(value, bool):
        return Node(Scalar("true" if value else "false", "boolean"), 0)
    return Node(Scalar(value, "string"), 0)


# YAML

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _yaml(text: str, place: str) -> Node:
    import yaml

    depth = 0
    try:
        # Before anything is composed: events tell of anchors, aliases, tags and depth without building them.
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise BadInput(f"{_where(place, line)}: anchors and aliases are not allowed", hint="write it out")
            tag = getattr(event, "tag", None)
            if tag:
                raise BadInput(f"{_where(place, line)}: the tag {quoted(str(tag))} is not allowed")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEPTH_LIMIT:
                    raise BadInput(f"{_where(place, line)}: nested deeper than {DEPTH_LIMIT}")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be read"
        hint = "indent with spaces" if "\\t" in str(error) or "'\\t'" in str(problem) else ""
        raise BadInput(f"{_where(place, mark.line + 1 if mark else 0)}: no YAML: {problem}", hint=hint) from None
    except RecursionError:
        raise BadInput(f"{quoted(place, 200)}: nested too deeply") from None
    return Node({}, 1) if root is None else _yaml_node(root, place)


def _yaml_node(node: Any, place: str) -> Node:
    line = node.start_mark.line + 1
    if node.id == "sequence":
        return Node([_yaml_node(one, place) for one in node.value], line)
    if node.id == "scalar":
        return Node(_yaml_scalar(node), line)
    found: dict[str, Node] = {}
    for key, value in node.value:
        key_line = key.start_mark.line + 1
        if key.id != "scalar":
            raise BadInput(f"{_where(place, key_line)}: a key must be a text")
        if key.value in found:
            raise BadInput(f"{_where(place, key_line)}: the key {quoted(key.value)} is given twice")
        # The line of the key: that is what a person looks for.
        found[key.value] = Node(_yaml_node(value, place).value, key_line)
    return Node(found, line)


def _yaml_scalar(node: Any) -> Scalar:
    text = str(node.value)
    if node.style in ("'", '"', "|", ">"):
        return Scalar(text, "string")
    if text in ("", "~") or text.lower() == "null":
        return Scalar(text, "null")
    # YAML 1.2's core words alone: in YAML 1.1 a `no` would be false, and 1:30 a number.
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return Scalar(text.lower(), "boolean")
    return Scalar(text, "number" if _NUMBER.fullmatch(text) else "string")


# Metrics and parameters


def read_metrics(path: str | os.PathLike[str]) -> dict[str, MetricValue]:
    """The metrics of a file: one flat mapping from names to numbers.

    Raises:
        NotFound, Unavailable: There is no such file, or it can't be read.
        BadInput: It is something else, or a number can't be a metric's.
    """
    return metrics_in(read_document(path, what="metrics file"), path)


def metrics_in(node: Node, path: str | os.PathLike[str]) -> dict[str, MetricValue]:
    """The metrics of a document that is read already; see `read_metrics`."""
    found: dict[str, MetricValue] = {}
    for name, value in _mapping(node, path, "metrics").items():
        check_key("metric", name)
        if isinstance(value.value, dict):
            raise BadInput(
                f"{at(path, value)}: {quoted(name)} is a mapping, and metrics are numbers",
                hint="write nested metrics flat: eval.accuracy in place of eval and accuracy",
            )
        if not isinstance(value.value, Scalar) or value.value.kind != "number":
            shown = quoted(value.value.text) if isinstance(value.value, Scalar) else "a list"
            raise BadInput(f"{at(path, value)}: the metric {quoted(name)} is {shown}, which is no number")
        found[name] = parse_metric(name, value.value.text)
    return found


def read_parameters(path: str | os.PathLike[str]) -> dict[str, str]:
    """The parameters of a file, nested ones with dots between the keys, lists as compact JSON.

    Raises:
        NotFound, Unavailable: There is no such file, or it can't be read.
        BadInput: It is no mapping, or a key or value can't be stored.
    """
    return parameters_in(read_document(path, what="parameters file"), path)


def parameters_in(node: Node, path: str | os.PathLike[str]) -> dict[str, str]:
    """The parameters of a document that is read already; see `read_parameters`."""
    found: dict[str, str] = {}
    _flatten(_mapping(node, path, "parameters"), "", found, path)
    return found


def read_policy(path: str | os.PathLike[str]) -> Policy:
    """The policy of a file.

    Raises:
        NotFound, Unavailable: There is no such file, or it can't be read.
        BadInput: It says something unknown or impossible; the message has the line.
    """
    from mreg.domain.policy import parse_policy

    node = read_document(path, what="policy file")
    try:
        return parse_policy(plain(node))
    except BadInput as error:
        keys = error.details.pop("path", [])
        for key in keys if isinstance(keys, list) else []:
            if isinstance(node.value, dict):
                node = node.value.get(key, node)
            elif isinstance(node.value, list):
                node = node.value[int(key)]
        raise BadInput(f"{at(path, node)}: {error.message}", hint=error.hint, **error.details) from error


def plain(node: Node) -> object:
    """The node as Python's own values, numbers that are not whole as texts."""
    if isinstance(node.value, dict):
        return {key: plain(one) for key, one in node.value.items()}
    if isinstance(node.value, list):
        return [plain(one) for one in node.value]
    if node.value.kind == "null":
        return None
    if node.value.kind == "boolean":
        return node.value.text == "true"
    whole = node.value.kind == "number" and len(node.value.text) < 10 and node.value.text.lstrip("+-").isdecimal()
    return int(node.value.text) if whole else node.value.text


def texts_in(node: Node, place: str) -> dict[str, str]:
    """A flat mapping of texts, numbers as they were written.

    Raises:
        BadInput: It is none.
    """
    found: dict[str, str] = {}
    for key, value in _mapping(node, place, place).items():
        if not isinstance(value.value, Scalar):
            raise BadInput(f"{quoted(place)}: {quoted(key)} is no text")
        found[key] = value.value.text
    return found


def _mapping(node: Node, path: str | os.PathLike[str], what: str) -> Mapping[str, Node]:
    if not isinstance(node.value, dict):
        raise BadInput(f"{at(path, node)}: {what} are a mapping of names to values")
    if len(node.value) > ENTRIES_LIMIT:
        raise BadInput(f"{quoted(os.fspath(path))} has {len(node.value)} {what}; the limit is {ENTRIES_LIMIT}")
    return node.value


def _flatten(nodes: Mapping[str, Node], prefix: str, found: dict[str, str], path: str | os.PathLike[str]) -> None:
    for key, node in nodes.items():
        name = f"{prefix}{key}"
        if isinstance(node.value, dict) and node.value:
            _flatten(node.value, f"{name}.", found, path)
            continue
        if name in found:
            raise BadInput(f"{at(path, node)}: the parameter {quoted(name)} is given twice")
        text = node.value.text if isinstance(node.value, Scalar) else _compact(node)
        found[check_key("parameter", name)] = check_value("parameter", name, text)
        if len(found) > ENTRIES_LIMIT:
            raise BadInput(f"{quoted(os.fspath(path))} has over {ENTRIES_LIMIT} parameters, which is the limit")


def _compact(node: Node) -> str:
    """The node as JSON without spaces, numbers as they were written."""
    if isinstance(node.value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_compact(one)}" for key, one in node.value.items()) + "}"
    if isinstance(node.value, list):
        return "[" + ",".join(_compact(one) for one in node.value) + "]"
    if node.value.kind == "null":
        return "null"
    return json.dumps(node.value.text) if node.value.kind == "string" else node.value.text
