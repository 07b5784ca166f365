"""The JSON of lineages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypedDict

from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.results import lineage as results
from mreg.wire import Form, Stage
from mreg.wire.models import ModelVersion, decode_version, encode_version


class LineageNode(TypedDict):
    """A version in a lineage."""

    reference: Annotated[str, "version"]
    depth: Annotated[int, "0 for a parent or child of the version, 1 for the next level ..."]
    deleted: Annotated[bool, "whether it was deleted since"]
    stage: Annotated[Stage | None, "its stage; null if it was deleted"]
    run_id: Annotated[str | None, "text or null"]
    git_commit: Annotated[str | None, "commit or null"]
    data: Annotated[dict[str, str], "training data: address by name"]


class Lineage(TypedDict):
    """The ancestors and descendants of a version."""

    version: Annotated[ModelVersion, "version: see ModelVersion"]
    parents: Annotated[list[LineageNode], "ancestors, nearest first: see LineageNode"]
    children: Annotated[list[LineageNode], "descendants, each before the versions made from it"]


def _encode_nodes(nodes: Iterable[results.LineageNode]) -> list[LineageNode]:
    # A list with depths: a chain of thousands would nest deeper than JSON parsers accept.
    return [
        {
            "reference": str(node.reference),
            "depth": depth,
            "deleted": node.stage is None,
            "stage": node.stage.value if node.stage else None,
            "run_id": node.run_id or None,
            "git_commit": node.git_commit or None,
            "data": dict(node.data),
        }
        for depth, node in results.flatten(nodes)
    ]


def _decode_nodes(shapes: Iterable[LineageNode]) -> tuple[results.LineageNode, ...]:
    return results.nest(
        (
            shape["depth"],
            results.LineageNode(
                reference=VersionRef.parse(shape["reference"]),
                stage=ModelStage(shape["stage"]) if shape["stage"] else None,
                run_id=shape["run_id"] or "",
                git_commit=shape["git_commit"] or "",
                data=shape["data"],
            ),
        )
        for shape in shapes
    )


def _encode_lineage(lineage: results.Lineage) -> Lineage:
    return {
        "version": encode_version(lineage.version),
        "parents": _encode_nodes(lineage.parents),
        "children": _encode_nodes(lineage.children),
    }


def _decode_lineage(shape: Lineage) -> results.Lineage:
    return results.Lineage(
        version=decode_version(shape["version"]),
        parents=_decode_nodes(shape["parents"]),
        children=_decode_nodes(shape["children"]),
    )


FORMS = (Form(results.Lineage, Lineage, _encode_lineage, _decode_lineage),)
