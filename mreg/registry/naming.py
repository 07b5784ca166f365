"""Infer the model of a push without a name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mreg.domain.names import NAME_LIMIT, ModelName
from mreg.errors import BadInput
from mreg.registry.git import find_repository, remote

GENERIC_STEMS = frozenset(
    "model models best final last latest checkpoint checkpoints ckpt weights weight pytorch_model tf_model saved_model "
    "savedmodel state_dict output outputs out artifact artifacts export pipeline estimator clf data dist build tmp "
    "temp adapter_model model_weights best_model final_model trained_model".split()
)
"""Stems of files and folders that do not identify a model."""


def found_name(path: str | os.PathLike[str], chosen: str, chosen_by: str) -> tuple[ModelName, str]:
    """Return the model for a push of this path, and the source of its name.

    The first of: the chosen name (MREG_MODEL, the project file, the profile); the name of the file or folder without
    suffixes, unless it is generic; the repository of the git remote; the folder's name, unless it is generic; the
    generic stem.

    Args:
        chosen: Name from a setting, empty if none.
        chosen_by: Source of that setting.

    Raises:
        BadInput: The chosen name is invalid, or no name can be inferred.
    """
    if chosen:
        return ModelName(chosen), chosen_by
    for text, why in _candidates(os.path.abspath(os.fspath(path))):
        name = _cleaned(text)
        if name:
            return ModelName(name), why
    raise BadInput("cannot infer a model name from this path", hint="add a name: --name NAME")


def _candidates(path: str) -> Iterator[tuple[str, str]]:
    name = os.path.basename(path)
    stem = name if os.path.isdir(path) else _stem(name)
    if not _is_generic(stem):
        yield stem, f"from {'the folder' if os.path.isdir(path) else 'the file'} {name}"
    folder = os.path.dirname(path)
    repository = find_repository(folder)
    if repository:
        url = remote(repository)
        yield re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git"), "from the git remote"
    parent = os.path.basename(folder)
    if not _is_generic(parent):
        yield parent, f"from the folder {parent}"
    yield stem, f"from the name {name}"


def _stem(name: str) -> str:
    # Remove every suffix that begins with a letter: fraud.tar.gz is fraud, but v1.2 stays.
    stem = name.lstrip(".")
    return re.sub(r"(?:\.[A-Za-z][A-Za-z0-9]*)+$", "", stem) or stem


def _is_generic(stem: str) -> bool:
    # model_v2, best-3, checkpoint-1000 and final_final are as generic as model, best and checkpoint.
    words = [word for word in re.split(r"[-_. ]+", stem.lower()) if not re.fullmatch(r"v?[0-9]*", word)]
    return not words or stem.lower() in GENERIC_STEMS or all(word in GENERIC_STEMS for word in words)


def _cleaned(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:NAME_LIMIT]
    return name if re.match(r"[A-Za-z0-9]", name) else ""
