"""Revisions: the form in which Hugging Face clients name a version of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.domain.commit import commit_id, version_of_commit
from mreg.domain.names import Selector, VersionRef, spelled
from mreg.domain.text import quoted
from mreg.errors import BadInput, NotFound
from mreg.registry.references import find_model, find_version

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.domain.model import ModelVersion, RegisteredModel
    from mreg.domain.names import ModelName
    from mreg.registry.session import Session

DEFAULT_REVISION = "main"
"""The revision that a client sends if its user names none."""


def find_revision(session: Session, name: ModelName, revision: str) -> ModelVersion:
    """Return the version that a revision names.

    A revision is a commit id (see `mreg.domain.commit`), ``main`` or a selector. ``main`` is the alias of that name; if
    the model has none, it is the version that a reference without a selector names.

    Raises:
        NotFound: The model or version does not exist, or the text cannot be a revision.
    """

    def look(reader: Reader) -> ModelVersion:
        model = find_model(reader, name)
        number = version_of_commit(revision)
        if number is not None:
            version = reader.version(model, number)
            if version is not None and commit_id(version) == revision:
                return version
        return find_version(reader, VersionRef(name, _selector(model, revision), exact=True))

    return session.catalog.read(look)


def _selector(model: RegisteredModel, revision: str) -> Selector | None:
    if revision == DEFAULT_REVISION and spelled(revision, model.aliases) is None:
        return None
    try:
        return Selector.parse(revision)
    except BadInput:
        raise NotFound(
            f"{model.name} has no revision {quoted(revision)}",
            hint="use a version number, latest, best, a stage, an alias or a commit id",
            kind="version",
            name=str(model.name),
            selector=revision,
        ) from None
