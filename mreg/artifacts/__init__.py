"""The bytes of versions: content-addressed blobs over a small backend contract."""
