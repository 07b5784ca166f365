"""Which model is meant where nobody said: what a push without a name takes, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mreg.domain.names import NAME_LIMIT, ModelName
from mreg.errors import BadInput
from mreg.registry.git import find_repository, remote

SAYS_NOTHING = frozenset(
    "model models best final last latest checkpoint checkpoints ckpt weights weight pytorch_model tf_model saved_model "
    "savedmodel state_dict output outputs out artifact artifacts export pipeline estimator clf data dist build tmp "
    "temp adapter_model model_weights best_model final_model trained_model".split()
)
"""Stems of files and folders by which no model can be told from another."""


def found_name(path: str | os.PathLike[str], chosen: str, chosen_by: str) -> tuple[ModelName, str]:
    """The model that a push of this path is of, and why.

    In this order: what was chosen (MREG_MODEL, the project file, the profile); the file's or folder's own name
    without its endings, unless it says nothing; the git remote's repository; the folder's name; the stem after all.

    Args:
        chosen: A name that was set beforehand, or empty.
        chosen_by: By what it was set.

    Raises:
        BadInput: What was chosen is no model name, or nothing gives one.
    """
    if chosen:
        return ModelName(chosen), chosen_by
    for text, why in _candidates(os.path.abspath(os.fspath(path))):
        name = _cleaned(text)
        if name:
            return ModelName(name), why
    raise BadInput("no model name can be found for this path", hint="give one: --name classifier")


def _candidates(path: str) -> Iterator[tuple[str, str]]:
    name = os.path.basename(path)
    stem = name if os.path.isdir(path) else _stem(name)
    if not _says_nothing(stem):
        yield stem, f"from {'the folder' if os.path.isdir(path) else 'the file'} {name}"
    folder = os.path.dirname(path)
    repository = find_repository(folder)
    if repository:
        url = remote(repository)
        yield re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git"), "from the git remote"
    parent = os.path.basename(folder)
    if not _says_nothing(parent):
        yield parent, f"from the folder {parent}"
    yield stem, f"from the name {name}"


def _stem(name: str) -> str:
    # Every ending: fraud.tar.gz is fraud; but in v1.2 the 2 is no ending.
    stem = name.lstrip(".")
    return re.sub(r"(?:\.[A-Za-z][A-Za-z0-9]*)+$", "", stem) or stem


def _says_nothing(stem: str) -> bool:
    # model_v2, best-3, checkpoint-1000 and final_final say no more than model, best and checkpoint do.
    words = [word for word in re.split(r"[-_. ]+", stem.lower()) if not re.fullmatch(r"v?[0-9]*", word)]
    return not words or stem.lower() in SAYS_NOTHING or all(word in SAYS_NOTHING for word in words)


def _cleaned(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:NAME_LIMIT]
    return name if re.match(r"[A-Za-z0-9]", name) else ""
