"""Where a registry keeps its catalog and artifacts, and who said so."""
