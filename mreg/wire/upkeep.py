"""What upkeep finds as JSON-ready dicts; see `mreg.wire`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mreg.domain.events import time_text

if TYPE_CHECKING:
    from mreg.results.upkeep import BlobProblem, CatalogCopy, Check, Finding, Garbage, Upgrade, Verification

Wire = dict[str, Any]


def check(check: Check) -> Wire:
    """One thing that was tried."""
    return {
        "name": check.name,
        "place": check.place,
        "ok": not check.error,
        "error": check.error or None,
        "hint": check.hint or None,
        "lacks": check.lacks or None,
    }


def garbage(garbage: Garbage) -> Wire:
    """What nothing needs in the store."""
    return {
        "kind": garbage.kind,
        "place": garbage.place,
        "name": garbage.name,
        "size_bytes": garbage.size_bytes,
        "modified": time_text(garbage.modified),
        "removed": garbage.removed,
    }


def _blob_problem(found: BlobProblem) -> Wire:
    return {
        "checksum": str(found.checksum),
        "problem": found.problem,
        "message": found.message,
        "hint": found.hint or None,
        "versions": [str(reference) for reference in found.versions],
    }


def verification(found: Verification) -> Wire:
    """What came of reading bytes again."""
    return {
        "artifacts": found.artifacts,
        "all_artifacts": found.all_artifacts,
        "blobs": found.blobs,
        "size_bytes": found.size_bytes,
        "problems": [_blob_problem(one) for one in found.problems],
        "unreferenced": found.unreferenced,
        "unreferenced_bytes": found.unreferenced_bytes,
    }


def finding(finding: Finding) -> Wire:
    """One thing that was looked at."""
    return {
        "name": finding.name,
        "place": finding.place,
        "state": finding.state,
        "message": finding.message or None,
        "remedy": finding.remedy or None,
    }


def catalog_copy(copy: CatalogCopy) -> Wire:
    """A catalog that was copied."""
    return {
        "source": copy.source,
        "target": copy.target,
        "rows": copy.rows,
        "events": copy.events,
        "last_hash": copy.last_hash or None,
        "set_aside": copy.set_aside or None,
    }


def upgrade(upgrade: Upgrade) -> Wire:
    """An upgrade of the catalog, planned or done."""
    return {
        "place": upgrade.place,
        "schema": upgrade.schema,
        "target": upgrade.target,
        "migrations": [{"schema": one.schema, "adds": one.adds} for one in upgrade.migrations],
        "others": list(upgrade.others),
        "caution": upgrade.caution or None,
        "backup": upgrade.backup or None,
    }
