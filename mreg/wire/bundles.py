"""Bundles and what becomes of them as JSON-ready dicts; see `mreg.wire`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mreg.results.transfers import BundleContents, Exported, Imported

Wire = dict[str, Any]


def exported(found: Exported) -> Wire:
    """A bundle that was written."""
    return {
        "reference": str(found.reference),
        "versions": [str(reference) for reference in found.versions],
        "destination": str(found.destination),
        "size_bytes": found.size_bytes,
    }


def bundle(found: BundleContents) -> Wire:
    """What is in a bundle: its document, of the events and blobs only how many."""
    from mreg.domain.bundle_fields import version_fields

    return {
        "model": str(found.model.name),
        "description": found.model.description,
        "tags": dict(found.model.tags),
        "directions": dict(found.model.directions),
        "primary_metric": found.model.primary_metric or None,
        "versions": [version_fields(one.version, one.parent_digest) for one in found.versions],
        "event_count": found.event_count,
        "blob_count": found.blob_count,
        "size_bytes": found.size_bytes,
    }


def imported(found: Imported) -> Wire:
    """What came of an import."""
    return {
        "model": str(found.model),
        "versions": [
            {"source": str(one.source), "reference": str(one.reference), "already_there": one.already_there}
            for one in found.versions
        ],
    }
