"""One client for the objects of a bucket: S3 and compatible stores, Azure Blob Storage, Google Cloud Storage."""
