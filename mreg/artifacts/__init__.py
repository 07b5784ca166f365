"""Storage of artifacts: content-addressed blobs over a small backend contract."""
