"""References in paths, queries and bodies; `mreg.server.parameters` reads them back.

A path has the model as one segment and the selector as another. Facts that the text of a reference lacks follow as
parameters of the segment (RFC 3986, 3.3): ``3;id=17;digest=sha256:...`` is a known version, ``latest;bare`` a bare
name, and ``latest;loose`` a bare name whose last part can also be a selector.
"""

from __future__ import annotations

from urllib.parse import quote

from mreg.domain.names import ModelName, VersionRef


def segment(text: str) -> str:
    """Return a text as one segment of a path; ``.`` and ``..`` do not become steps in the path."""
    quoted = quote(text, safe="@:~")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def model_path(name: ModelName, *rest: str) -> str:
    """Return the path of a model, with further segments."""
    return "/".join(("/models", *map(segment, (str(name), *rest))))


def version_path(reference: VersionRef, *rest: str) -> str:
    """Return the path of the version that a reference names, with further segments."""
    selector = quote(selector_text(reference), safe=":~;=")
    return "/".join((model_path(reference.name), "versions", selector, *map(segment, rest)))


def model_or_version_path(reference: VersionRef, *rest: str) -> str:
    """Return the path of what a reference names: a model, for a bare name, or a version."""
    return model_path(reference.name, *rest) if reference.selector is None else version_path(reference, *rest)


def selector_text(reference: VersionRef) -> str:
    """Return the part of a reference after the model, with what a text does not say as parameters."""
    if reference.known is not None:
        return f"{reference.selector};id={reference.known.version_id};digest={reference.known.digest}"
    if reference.selector is not None:
        return str(reference.selector)
    return "latest;bare" if reference.exact else "latest;loose"


def reference_text(reference: VersionRef) -> str:
    """Return a reference as a text for a query or a body."""
    return f"{reference.name}@{selector_text(reference)}"
