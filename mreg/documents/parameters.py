"""Parameters from files, forms and Python: the same input gives the same parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mreg.documents import Rules, at, check_count, mapping_in, read_document
from mreg.documents.flat import compact, leaves, node_of
from mreg.documents.node import Node, Scalar
from mreg.domain.text import check_key, check_value, quoted
from mreg.errors import BadInput


def read_parameters(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the parameters of a file in JSON or YAML; see `parameters_in`.

    Raises:
        NotFound, Unavailable: The file does not exist or cannot be read.
        BadInput: The document is not a mapping, or a key or value is invalid.
    """
    return parameters_in(read_document(path, what="parameters file", rules=Rules(anchors=True)), path)


def parameters_of(values: Mapping[str, object]) -> dict[str, str]:
    """Return the parameters of a mapping of Python values; see `parameters_in`.

    Raises:
        BadInput: A key or value is invalid, or there are too many.
    """
    return parameters_in(node_of(values, "parameters"), "parameters")


def parameters_in(node: Node, place: str | os.PathLike[str]) -> dict[str, str]:
    """Return the parameters of a document.

    Nested keys are joined by dots, lists become compact JSON, and null and booleans are ``null``, ``true`` and
    ``false``. Numbers keep their spelling.

    Args:
        place: Name of the document in messages.

    Raises:
        BadInput: The document is not a mapping, or a key or value is invalid.
    """
    parameters: dict[str, str] = {}
    for name, value in leaves(mapping_in(node, place, "parameters")):
        if name in parameters:
            raise BadInput(f"{at(place, value)}: duplicate parameter {quoted(name)}")
        parameters[_checked(name, value, place)] = check_value("parameter", name, _text(value))
    check_count(len(parameters), "parameters", place)
    return parameters


def _checked(name: str, value: Node, place: str | os.PathLike[str]) -> str:
    try:
        return check_key("parameter", name)
    except BadInput as error:
        raise BadInput(f"{at(place, value)}: {error.message}", hint=error.hint) from None


def _text(node: Node) -> str:
    if not isinstance(node.value, Scalar):
        return compact(node)
    return "null" if node.value.kind == "null" else node.value.text
