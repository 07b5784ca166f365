"""Point the package's metadata to the repository that builds it.

GitHub Actions names the repository in GITHUB_SERVER_URL and GITHUB_REPOSITORY. Then the package gets project URLs, and
the links of the README become absolute, because a package index does not resolve relative links. A build elsewhere has
no URLs: a package never links to a repository that it was not built from.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

URLS = {
    "Source": "",
    "Documentation": "/tree/main/docs",
    "Changelog": "/blob/main/CHANGELOG.md",
    "Issues": "/issues",
}


class RepositoryMetadata(MetadataHookInterface):
    """Metadata hook of Hatchling: set the dynamic fields ``readme`` and ``urls``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``readme`` and ``urls`` in the metadata of the project."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        if server and repository:
            home = f"{server}/{repository}"
            metadata["urls"] = {label: home + path for label, path in URLS.items()}
            text = re.sub(r"!\[([^]]*)\]\((?!https?:|#)", rf"![\1]({home}/raw/main/", text)
            text = re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:|#)", rf"[\1]({home}/blob/main/", text)
        else:
            metadata["urls"] = {}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
