"""The JSON of bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

from mreg.domain.names import ModelName, VersionRef
from mreg.results import bundles as results
from mreg.wire import Direction, Form


class Exported(TypedDict):
    """A bundle that was written."""

    reference: Annotated[str, "version, or whole model"]
    versions: Annotated[list[str], "references of the versions in the bundle, by number"]
    destination: Annotated[str, "path of the file"]
    size_bytes: Annotated[int, "size of the file"]


class Bundle(TypedDict):
    """The contents of a bundle."""

    model: Annotated[str, "name"]
    description: Annotated[str, "text"]
    tags: Annotated[dict[str, str], "text by key"]
    directions: Annotated[dict[str, Direction], "`higher` or `lower` by metric"]
    primary_metric: Annotated[str | None, "primary metric that was set on the model, or null"]
    versions: Annotated[list[dict[str, Any]], "by number, as in the bundle: see [On-disk format](format.md#bundle)"]
    event_count: Annotated[int, "number of events"]
    blob_count: Annotated[int, "number of blobs"]
    size_bytes: Annotated[int, "size of all blobs"]


class ImportedVersion(TypedDict):
    """A version of a bundle after its import."""

    source: Annotated[str, "reference in the bundle"]
    reference: Annotated[str, "reference here"]
    already_there: Annotated[bool, "whether it was here before"]
    aliases: Annotated[list[str], "aliases of the bundle that name the version here"]
    left_out: Annotated[list[str], "aliases of the bundle that were left out"]


class Imported(TypedDict):
    """The outcome of an import."""

    model: Annotated[str, "model here"]
    versions: Annotated[list[ImportedVersion], "versions of the bundle: see ImportedVersion"]


def _encode_exported(exported: results.Exported) -> Exported:
    return {
        "reference": str(exported.reference),
        "versions": [str(reference) for reference in exported.versions],
        "destination": str(exported.destination),
        "size_bytes": exported.size_bytes,
    }


def _decode_exported(shape: Exported) -> results.Exported:
    return results.Exported(
        reference=VersionRef.parse(shape["reference"]),
        versions=tuple(map(VersionRef.parse, shape["versions"])),
        destination=Path(shape["destination"]),
        size_bytes=shape["size_bytes"],
    )


def _encode_bundle(bundle: results.BundleContents) -> Bundle:
    from mreg.domain.bundle_fields import version_fields

    model = bundle.model
    return {
        "model": str(model.name),
        "description": model.description,
        "tags": dict(model.tags),
        "directions": cast("dict[str, Direction]", dict(model.directions)),
        "primary_metric": model.primary_metric or None,
        "versions": [version_fields(bundled.version, bundled.parent_digest) for bundled in bundle.versions],
        "event_count": bundle.event_count,
        "blob_count": bundle.blob_count,
        "size_bytes": bundle.size_bytes,
    }


def _decode_bundle(shape: Bundle) -> results.BundleContents:
    from mreg.domain.bundle import BundledModel, BundledVersion
    from mreg.domain.bundle_fields import read_version

    name = ModelName(shape["model"])
    read = [read_version(name, fields) for fields in shape["versions"]]
    return results.BundleContents(
        model=BundledModel(
            name=name,
            description=shape["description"],
            tags=shape["tags"],
            directions=dict(shape["directions"]),
            primary_metric=shape["primary_metric"] or "",
        ),
        versions=tuple(BundledVersion(version=version, parent_digest=digest) for version, digest in read),
        event_count=shape["event_count"],
        blob_count=shape["blob_count"],
        size_bytes=shape["size_bytes"],
    )


def _encode_imported(imported: results.Imported) -> Imported:
    return {
        "model": str(imported.model),
        "versions": [
            {
                "source": str(version.source),
                "reference": str(version.reference),
                "already_there": version.already_there,
                "aliases": list(version.aliases),
                "left_out": list(version.left_out),
            }
            for version in imported.versions
        ],
    }


def _decode_imported(shape: Imported) -> results.Imported:
    return results.Imported(
        model=ModelName(shape["model"]),
        versions=tuple(
            results.ImportedVersion(
                source=VersionRef.parse(version["source"]),
                reference=VersionRef.parse(version["reference"]),
                already_there=version["already_there"],
                aliases=tuple(version["aliases"]),
                left_out=tuple(version["left_out"]),
            )
            for version in shape["versions"]
        ),
    )


FORMS = (
    Form(results.Exported, Exported, _encode_exported, _decode_exported),
    Form(results.BundleContents, Bundle, _encode_bundle, _decode_bundle),
    Form(results.Imported, Imported, _encode_imported, _decode_imported),
)
