"""Use cases, the only code that uses both the catalog and the artifact store."""
