"""S3 and the stores that speak as it does: one bucket, its objects, and what can go wrong with them."""
