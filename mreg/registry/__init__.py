"""Use cases: the only place that spans the catalog and the artifact store."""
