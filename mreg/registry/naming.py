"""Infer the model of a push without a name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mreg.domain.names import NAME_LIMIT, ModelName
from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.registry.git import find_repository, remote

if TYPE_CHECKING:
    pass

GENERIC_STEMS = frozenset(
    "model models best final last latest checkpoint checkpoints ckpt weights weight pytorch_model tf_model saved_model "
    "savedmodel state_dict output outputs out artifact artifacts export pipeline estimator clf data dist build tmp "
    "temp adapter_model model_weights best_model final_model trained_model snapshot snapshots blobs refs epoch epochs "
    "step steps iter iteration global version run runs fold rank shard trial logs lightning_logs mlruns".split()
)
"""Stems of files and folders that do not identify a model."""

_HASH = re.compile(r"(?=[a-f]*[0-9])[0-9a-f]{7,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A commit, a digest or a UUID."""

_HUB = re.compile(r"models--(?:(?P<owner>[^/\\]+?)--)?(?P<name>[^/\\]+)")
"""The folder of a model in the cache of Hugging Face: https://huggingface.co/docs/huggingface_hub/guides/manage-cache"""


def found_name(path: str | os.PathLike[str], chosen: str, chosen_by: str) -> tuple[ModelName, str]:
    """Return the model for a push of this path, and the source of its name.

    The first of: the chosen name (MREG_MODEL, the project file, the profile); the name of the file or folder without
    suffixes, unless it is generic; the repository of the git remote; the folder's name, unless it is generic. Generic
    are names such as model, latest, checkpoint-500 and epoch=3-step=1000, and hashes. In a cache of Hugging Face, where
    every name says nothing, no name is inferred.

    Args:
        chosen: Name from a setting, empty if none.
        chosen_by: Source of that setting.

    Raises:
        BadInput: The chosen name is invalid, or no name can be inferred.
    """
    if chosen:
        return ModelName(chosen), chosen_by
    place = os.path.abspath(os.fspath(path))
    suggested = _hub_name(place)
    for text, why in () if suggested else _candidates(place):
        name = _cleaned(text)
        if name:
            return ModelName(name), why
    raise BadInput(
        f"cannot infer a model name: {quoted(os.path.basename(place) or place)} does not identify a model",
        hint=f"add a name: --name {suggested or 'NAME'}",
    )


def _hub_name(path: str) -> str:
    """Return the name of a model for a path in a cache of Hugging Face, otherwise an empty text."""
    for part in reversed(path.split(os.sep)):
        match = _HUB.fullmatch(part)
        if match:
            owner, name = _cleaned(match["owner"] or ""), _cleaned(match["name"])
            return f"{owner}/{name}" if owner and name else name
    return ""


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


def _stem(name: str) -> str:
    # Remove every suffix that begins with a letter: fraud.tar.gz is fraud, but v1.2 stays.
    stem = name.lstrip(".")
    return re.sub(r"(?:\.[A-Za-z][A-Za-z0-9]*)+$", "", stem) or stem


def _is_generic(stem: str) -> bool:
    # model_v2, best-3, checkpoint-1000, global_step500 and final_final are as generic as model, best and checkpoint.
    # A name with "=" is made of the values of a training: epoch=3-val_loss=0.25.
    lower = stem.lower()
    if "=" in lower or lower in GENERIC_STEMS or _HASH.fullmatch(lower):
        return True
    words = [word for word in re.split(r"[-_. ]+", lower) if not re.fullmatch(r"v?[0-9]*", word)]
    return all(word.rstrip("0123456789") in GENERIC_STEMS for word in words)


def _cleaned(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:NAME_LIMIT]
    return name if re.match(r"[A-Za-z0-9]", name) else ""
