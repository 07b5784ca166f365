"""Names of files that usually hold secrets; the files themselves are not read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from mreg.domain.text import Caution, quoted

NAMED = 5
"""Maximum number of files that a warning names."""

_NAMES = re.compile(
    r"\.env(?:\..+)?|.+\.env|\.envrc|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|.+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|tfstate)"
    r"|\.?credentials?(?:[._-].*)?|client_secrets?.*\.json|service[_-]?account.*\.json|\.?netrc|_netrc|\.pgpass"
    r"|\.my\.cnf|\.npmrc|\.pypirc|\.htpasswd|\.git-credentials|\.dockercfg|kubeconfig|secrets?(?:\.[a-z0-9]+)?|stored_tokens"
    r"|.*_history"
)
_FOLDERS = frozenset({".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", "gcloud"})
_EXAMPLES = (".example", ".sample", ".template", ".dist")


def looks_secret(path: str) -> bool:
    """Return whether a path is that of a private key, of credentials, or of another file that usually has secrets.

    Args:
        path: Path with ``/``; its folders count as well.
    """
    *folders, name = path.casefold().split("/")
    if name.endswith(_EXAMPLES):
        return False
    return _NAMES.fullmatch(name) is not None or not _FOLDERS.isdisjoint(folders)


def secrets_warning(files: Iterable[tuple[str, str]]) -> str:
    """Return a warning that names the files that look like secrets; empty if there are none.

    Args:
        files: Name of each file, and the path that a link of this name leads to, or an empty text.
    """
    found = [name for name, target in files if looks_secret(name) or looks_secret(target.replace(os.sep, "/"))]
    if not found:
        return ""
    names = ", ".join(quoted(name) for name in found[:NAMED])
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    verb = "looks like a secret and is" if len(found) == 1 else "look like secrets and are"
    return Caution(f"warning: {names}{more} {verb} part of the version")
