"""URLs of buckets: object stores of several providers."""

from __future__ import annotations

import re

SCHEMES = ("s3", "az", "abfss", "gs")
"""Schemes of buckets. ``abfss`` names the storage account of an Azure container; with ``az``, the environment does."""

_START = re.compile(rf"(?:{'|'.join(SCHEMES)})://")


def is_bucket(place: str) -> bool:
    """Return whether a location is the URL of a bucket."""
    return _START.match(place) is not None
