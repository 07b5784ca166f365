"""A client for one bucket of S3 or of a compatible store."""
