"""Strict parser of the user's YAML and JSON files: profiles, project files, metrics, parameters and policies.

It rejects, with file and line: duplicate keys, anchors, aliases and merge keys (which can expand exponentially), tags
(which can create objects), NaN and infinities, several documents in one file, and documents that are nested deeper than
`DEPTH_LIMIT`, have more than `NODE_LIMIT` values, are larger than `SIZE_LIMIT` (YAML: `YAML_LIMIT`) or are not UTF-8.
Files of metrics and parameters are written by training tools, so anchors are allowed, and in metrics NaN and
infinities (see `Rules`).

Values are counted during parsing, so that every file within the size limit is read or rejected in seconds. YAML is
always parsed by PyYAML's pure Python parser, because libyaml is not always installed and words its errors differently.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mreg.documents.node import DEPTH_LIMIT, NODE_LIMIT, Count, location
from mreg.documents.node import Node as Node
from mreg.documents.node import Scalar as Scalar
from mreg.domain.text import ENTRIES_LIMIT, quoted
from mreg.errors import BadInput, NotFound, Unavailable
from mreg.files import open_file

if TYPE_CHECKING:
    from mreg.domain.policy import Policy

SIZE_LIMIT = 4 << 20
"""Maximum size of a JSON document in bytes."""

YAML_LIMIT = 512 << 10
"""Maximum size of a YAML document in bytes; the parser needs up to 4 microseconds per byte, also for comments."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a document may contain.

    Attributes:
        size: Maximum size of a JSON document in bytes.
        nodes: Maximum number of keys and values of a JSON document.
        anchors: Whether YAML anchors and merge keys are expanded; the result has at most `NODE_LIMIT` keys and values.
        constants: Whether ``NaN`` and ``Infinity`` are allowed in JSON.
    """

    size: int = SIZE_LIMIT
    nodes: int = NODE_LIMIT
    anchors: bool = False
    constants: bool = False


STRICT = Rules()


def read_document(path: str | os.PathLike[str], *, what: str = "file", rules: Rules = STRICT) -> Node:
    """Parse a file: JSON if its name ends in ``.json``, otherwise YAML.

    Raises:
        NotFound: The file does not exist.
        BadInput: The path is not a regular file, or the document is invalid or not allowed.
        Unavailable: The file cannot be read.
    """
    place = os.fspath(path)
    limit = rules.size if _is_json(place) else YAML_LIMIT
    return document_in(read_bytes(place, what, limit), place, what=what, limit=limit, rules=rules)


def document_in(data: bytes, place: str, *, what: str, limit: int, rules: Rules = STRICT) -> Node:
    """Parse the bytes of a file.

    Args:
        place: Path of the file: JSON if it ends in ``.json``, otherwise YAML.
        limit: Maximum size in bytes. ``data`` can be truncated beyond it.

    Raises:
        BadInput: The document is invalid, not allowed or too large.
    """
    text = text_in(data, place, what=what, limit=limit)
    if _is_json(place):
        return json_document(text, place, rules)
    from mreg.documents.from_yaml import yaml_document

    return yaml_document(text, place, anchors=rules.anchors)


def text_in(data: bytes, place: str, *, what: str, limit: int) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        BadInput: There are more bytes than the limit, or they are not UTF-8.
    """
    if len(data) > limit:
        size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
        raise BadInput(f"the {what} {quoted(place, 200)} is larger than {size}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput(f"{location(place, line)}: not UTF-8", hint="save it as UTF-8") from None


def _is_json(place: str) -> bool:
    return place.lower().endswith(".json")


def read_bytes(place: str, what: str, limit: int, *, follow: bool = True) -> bytes:
    """Return the bytes of a file, at most one more than the limit.

    Args:
        follow: Follow a symbolic link at the end of the path; otherwise it is refused.

    Raises:
        NotFound: The file does not exist.
        BadInput: The path is not a regular file.
        Unavailable: The file cannot be read.
    """
    try:
        descriptor = open_file(place, follow=follow)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"the {what} {quoted(place)} does not exist", hint="check the path", kind="file") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            which = "a symbolic link to itself" if follow else "a symbolic link, which is not followed here"
            raise BadInput(f"the {what} {quoted(place)} is {which}") from error
        if error.errno == errno.ENXIO:  # a socket
            raise BadInput(f"the {what} {quoted(place)} is not a regular file") from error
        raise Unavailable(f"cannot read the {what} {quoted(place)}: {error.strerror}") from error
    except ValueError:
        raise BadInput(f"invalid path {quoted(place)}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"the {what} {quoted(place)} is not a regular file")
    try:
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise Unavailable(f"cannot read the {what} {quoted(place)}: {error.strerror}") from error


def at(place: str | os.PathLike[str], node: Node) -> str:
    """Return the location of a node for messages: ``'profiles.yaml', line 3``."""
    return location(os.fspath(place), node.line)


# JSON


def json_document(text: str, place: str, rules: Rules = STRICT) -> Node:
    """Parse a JSON text.

    Args:
        place: Name of the document in messages.

    Raises:
        BadInput: The text is not JSON, or the document is not allowed.
    """
    count = Count(place, rules.nodes)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        count.add(len(items))
        found: dict[str, Any] = {}
        for name, value in items:
            if name in found:
                raise BadInput(f"{quoted(place, 200)}: duplicate key {quoted(name)}")
            found[name] = value
        return found

    def constant(word: str) -> Any:
        if rules.constants:
            return Scalar(word, "number")
        raise BadInput(f"{quoted(place, 200)}: invalid JSON number {word}")

    def number(word: str) -> Scalar:
        count.add(1)
        return Scalar(word, "number")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number, parse_int=number)
    except RecursionError:
        raise BadInput(f"{quoted(place, 200)}: nested too deeply") from None
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise BadInput(f"{location(place, line)}: invalid JSON: {getattr(error, 'msg', error)}") from None
    return _json_node(value, Count(place, rules.nodes), 0)


def _json_node(value: Any, count: Count, depth: int) -> Node:
    count.add(1)
    if depth > DEPTH_LIMIT:
        raise BadInput(f"{quoted(count.place, 200)}: nested deeper than {DEPTH_LIMIT}")
    if isinstance(value, dict):
        count.add(len(value))
        return Node({key: _json_node(inner, count, depth + 1) for key, inner in value.items()}, 0)
    if isinstance(value, list):
        return Node([_json_node(inner, count, depth + 1) for inner in value], 0)
    if isinstance(value, Scalar):
        return Node(value, 0)
    if value is None:
        return Node(Scalar("null", "null"), 0)
    if isinstance(value, bool):
        return Node(Scalar("true" if value else "false", "boolean"), 0)
    return Node(Scalar(value, "string"), 0)


# Policies and texts


def read_policy(path: str | os.PathLike[str]) -> Policy:
    """Read the policy of a file.

    Raises:
        NotFound, Unavailable: The file does not exist or cannot be read.
        BadInput: A key or value is invalid; the message has the line.
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
    """Convert a node to built-in types; whole numbers of fewer than 10 characters become ints, others stay texts."""
    if isinstance(node.value, dict):
        return {key: plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [plain(inner) for inner in node.value]
    if node.value.kind == "null":
        return None
    if node.value.kind == "boolean":
        return node.value.text == "true"
    whole = node.value.kind == "number" and len(node.value.text) < 10 and node.value.text.lstrip("+-").isdecimal()
    return int(node.value.text) if whole else node.value.text


def texts_in(node: Node, place: str) -> dict[str, str]:
    """Return a flat mapping of texts; numbers keep their spelling.

    Raises:
        BadInput: The node is not a flat mapping.
    """
    found: dict[str, str] = {}
    nodes = mapping_in(node, place, place)
    check_count(len(nodes), "entries", place)
    for key, value in nodes.items():
        if not isinstance(value.value, Scalar):
            raise BadInput(f"{quoted(place)}: {quoted(key)} is not a string")
        found[key] = value.value.text
    return found


def mapping_in(node: Node, path: str | os.PathLike[str], what: str) -> Mapping[str, Node]:
    """Return the nodes of a mapping by key.

    Raises:
        BadInput: The node is not a mapping.
    """
    if not isinstance(node.value, dict):
        raise BadInput(f"{at(path, node)}: {what} must be a mapping of names to values")
    return node.value


def check_count(count: int, what: str, path: str | os.PathLike[str]) -> None:
    """Check the number of metrics, parameters or other entries of a document.

    Raises:
        BadInput: There are more than `ENTRIES_LIMIT`.
    """
    if count > ENTRIES_LIMIT:
        raise BadInput(f"{quoted(os.fspath(path))}: too many {what}: {count}; the limit is {ENTRIES_LIMIT}")
