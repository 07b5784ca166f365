"""Edit the user's profile file, keeping comments, and create project files."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mreg.domain.names import ModelName
from mreg.domain.text import nearest, quoted
from mreg.durability import sync, sync_folder
from mreg.errors import AlreadyExists, BadInput, BadProfile, MregError, NotFound, Unavailable
from mreg.files import CREATE, lock, open_file, opened_folder, replace, unlink
from mreg.folders import Folder, linked, make_folders
from mreg.profile.load import BUILT_IN, ProfileFile, editable_file, read_profiles, user_folder
from mreg.profile.place import location
from mreg.profile.reading import NAME
from mreg.results.profiles import KEYS, PROJECT_FILE


def add_profile(
    name: str,
    values: Mapping[str, str],
    *,
    config: str | os.PathLike[str] | None = None,
    check: Callable[[str], None] = lambda _partial: None,
) -> str:
    """Add a profile to the profile file, which is created if necessary; return the path of the file.

    Args:
        check: Called with the path of a temporary file that has the new profile; if it raises, nothing is added.

    Raises:
        BadProfile: The name, a key or a value is invalid, or the file is damaged.
        AlreadyExists: The profile exists.
        Unavailable: The file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise BadProfile(f"invalid profile name {quoted(name)}", hint="use letters, digits, '.', '_' and '-'")
    for key, value in values.items():
        if key not in KEYS:
            near = nearest(key, KEYS, 1)
            raise BadProfile(f"unknown key {quoted(key)}", hint=f"did you mean {near[0]}?" if near else "")
        if "${" not in value:
            location(key, value, None, is_written=lambda start, end: start < end)
    file = editable_file(config, os.environ)
    first = 0

    def change(text: str) -> str:
        nonlocal first
        profiles = read_profiles(file, required=False).profiles
        if name in profiles:
            raise AlreadyExists(f"profile {quoted(name)} already exists", hint=f"edit {file}")
        lines = text.splitlines()
        head = next((place for place, line in enumerate(lines) if line.split("#")[0].rstrip() == "profiles:"), None)
        indent = _indent(lines[head + 1 :]) if head is not None else "  "
        block = [f"{indent}{_quoted(name)}:" + ("" if values else " {}")]
        block += [f"{indent * 2}{key}: {_quoted(_absolute(key, value))}" for key, value in values.items()]
        if head is None:
            if profiles:
                raise BadProfile(
                    f"cannot add a profile to {file}: its profiles are not written as an indented block",
                    hint=f"edit {file}",
                )
            lines = [line for line in lines if not line.startswith("profiles:")]
            head = len(lines)
            lines.append("profiles:")
        first = head + 3
        return "\n".join([*lines[: head + 1], *block, *lines[head + 1 :]]) + "\n"

    def check_both(partial: str) -> None:
        try:
            _check(partial)
            check(partial)
        except BadProfile as error:  # nothing is written, so the user finds no line
            message = error.message
            for line, key in enumerate(values, first):
                message = message.replace(f"{partial}, line {line}: ", f"--{key.replace('_', '-')}: ")
            raise BadProfile(message, hint=error.hint) from error

    rewrite(file, change, check=check_both)
    return file


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedProfile:
    """A profile that was removed.

    Attributes:
        file: The profile file.
        was_default: Whether the file named the profile as the default.
    """

    file: str
    was_default: bool


def check_removable(name: str, *, config: str | os.PathLike[str] | None = None) -> None:
    """Check that a profile is in the profile file.

    Raises:
        NotFound: The profile file has no such profile.
        BadInput: The profile is the built-in one.
    """
    profiles = read_profiles(editable_file(config, os.environ), required=False).profiles
    if name in profiles:
        return
    if name == BUILT_IN:
        raise BadInput(f"cannot remove the profile {BUILT_IN}: it is built in", hint="mreg profile list")
    near = nearest(name, profiles, 1)
    hint = f"did you mean {near[0]}?" if near else "mreg profile list"
    raise NotFound(f"profile {quoted(name)} not found", hint=hint, kind="profile", name=name)


def remove_profile(name: str, *, config: str | os.PathLike[str] | None = None) -> RemovedProfile:
    """Remove a profile from the profile file, and the default if it names the profile; keeps all other lines.

    Nothing of the registry is deleted.

    Raises:
        NotFound: The profile file has no such profile.
        BadProfile: The profile is not written as an indented block, or is used by another entry of the file.
        Unavailable: The file cannot be written.
    """
    file = editable_file(config, os.environ)
    left: dict[str, object] = {}
    was_default = False

    def change(text: str) -> str:
        nonlocal was_default
        check_removable(name, config=file)
        read = read_profiles(file, required=False)
        was_default = read.default is not None and read.default[0] == name
        left.update(_texts(read))
        del left[name]
        lines = text.splitlines()
        if was_default:
            lines = [line for line in lines if not line.startswith("default:")]
        return "\n".join(_without_block(lines, name)) + "\n"

    def check(partial: str) -> None:
        hint = f"edit {file}"
        try:
            read = read_profiles(partial, required=True)
        except MregError as error:
            raise BadProfile(
                f"cannot remove {name} from {file}: other entries of the file use it", hint=hint
            ) from error
        if _texts(read) != left or (was_default and read.default is not None):
            raise BadProfile(
                f"cannot remove {name} from {file}: its profiles are not written as an indented block", hint=hint
            )

    rewrite(file, change, check=check)
    return RemovedProfile(file=file, was_default=was_default)


def _texts(read: ProfileFile) -> dict[str, object]:
    """Return what profiles say, without the lines, which a change moves."""
    return {
        name: ([hook.name for hook in read.hooks.get(name, ())], {key: text for key, (text, _) in values.items()})
        for name, values in read.profiles.items()
    }


def _without_block(lines: list[str], name: str) -> list[str]:
    """Return the lines without those of a profile; comments after it belong to the next one, and stay."""
    head = next((place for place, line in enumerate(lines) if line.split("#")[0].rstrip() == "profiles:"), len(lines))
    indent = _indent(lines[head + 1 :])
    key = re.compile(rf"{indent}(?:{re.escape(name)}|'{re.escape(name)}'|\"{re.escape(name)}\")\s*:(?:\s|$)")
    first = next((place for place in range(head + 1, len(lines)) if key.match(lines[place])), len(lines))
    end = last = first + 1
    while end < len(lines):
        line = lines[end]
        is_inner = line.startswith(f"{indent} ")
        if line.strip() and not is_inner:
            break
        end += 1
        if is_inner and line.strip():
            last = end
    return lines[:first] + lines[last:]


def use_profile(name: str, *, config: str | os.PathLike[str] | None = None) -> str:
    """Make a profile the default; return the path of the profile file.

    Raises:
        NotFound: The profile does not exist.
        Unavailable: The file cannot be written.
    """
    file = editable_file(config, os.environ)

    def change(text: str) -> str:
        profiles = read_profiles(file, required=False).profiles
        known = sorted({*profiles, BUILT_IN})
        if name not in known:
            near = nearest(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
            raise NotFound(f"profile {quoted(name)} not found", hint=hint, kind="profile", name=name)
        lines = [line for line in text.splitlines() if not line.startswith("default:")]
        return "\n".join([f"default: {_quoted(name)}", *lines]) + "\n"

    rewrite(file, change, check=_check)
    return file


def init_project(folder: str, *, model: str = "", profile: str = "", local: bool = False) -> str:
    """Create a commented project file in a folder; return its path.

    Args:
        local: Keep the catalog and the artifacts in ``.mreg`` of the folder.

    Raises:
        AlreadyExists: The folder has a project file.
        BadInput: The model name is invalid.
        Corrupt: ``.mreg`` of the folder is a symbolic link.
        Unavailable: The file cannot be written.
    """
    if model:
        ModelName(model)
    file = os.path.join(os.path.abspath(folder), PROJECT_FILE)
    store = os.path.join(os.path.dirname(file), ".mreg")
    if local and os.path.islink(store):
        raise linked(store)
    lines = [
        "# mreg reads this file in this folder and its subfolders. It can select a profile and a model, and set the",
        "# catalog and the artifacts below this folder, or a bucket or server that you trust with mreg trust.",
        "# All other settings belong in your profile file.",
        f"model: {_quoted(model)}" if model else "# model: classifier",
        f"profile: {_quoted(profile)}" if profile else "# profile: team",
        *(["catalog: .mreg/catalog.db", "artifacts: .mreg/artifacts"] if local else ["# catalog: .mreg/catalog.db"]),
    ]
    try:
        descriptor = open_file(file, CREATE, 0o666, follow=False)
    except FileExistsError:
        raise AlreadyExists(f"{quoted(file, 200)} already exists", hint="edit it, or remove it first") from None
    except OSError as error:
        raise Unavailable(f"cannot create {quoted(file, 200)}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
        stream.write("\n".join(lines) + "\n")
    if local:
        _keep_out_of_git(os.path.dirname(file))
    return file


def _keep_out_of_git(folder: str) -> None:
    """Make git ignore the store; a failure is ignored, because the store works without it."""
    with contextlib.suppress(OSError):
        store = Folder.named(folder).inner(".mreg", make=True)
        descriptor = store.open(".gitignore", CREATE, 0o666)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write("*\n")


def _indent(lines: list[str]) -> str:
    """Return the indentation of the first profile in a file (default: two spaces)."""
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    return first[: len(first) - len(first.lstrip(" "))] or "  "


def _absolute(key: str, value: str) -> str:
    """Make a path absolute from the working folder; in the file it would be relative to the file's folder."""
    if key in ("catalog", "artifacts") and "://" not in value and not value.startswith(("~", "${")):
        return os.path.abspath(value)
    return value


def _quoted(value: str) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)  # every JSON string is a YAML string


def _check(partial: str) -> None:
    read_profiles(partial, required=True)  # a profile file must stay readable


def rewrite(
    file: str,
    change: Callable[[str], str],
    *,
    what: str = "profile file",
    check: Callable[[str], None] = lambda _partial: None,
) -> None:
    """Change a file of the user atomically, under a lock of its folder; the new file has mode 0600.

    Args:
        change: Returns the new text for the old text, which is empty if the file does not exist.
        check: Called with the path of the new file under a temporary name; if it raises, nothing is changed.

    Raises:
        Unavailable: The file cannot be written.
        BadProfile: The file is not UTF-8.
    """
    target = os.path.realpath(file)
    try:
        make_folders(os.path.dirname(target), _private(file))
        with _locked(os.path.dirname(target)):
            if os.path.lexists(target) and not os.path.isfile(target):
                raise BadProfile(f"cannot write the {what} {quoted(file, 200)}: it is not a regular file")
            text = ""
            with contextlib.suppress(FileNotFoundError), open(target, encoding="utf-8") as stream:
                text = stream.read()
            new = change(text)
            partial = f"{target}.{os.urandom(6).hex()}.tmp"
            try:
                descriptor = open_file(partial, CREATE, 0o600, follow=False)
                with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
                    stream.write(new)
                    stream.flush()
                    sync(descriptor)
                try:
                    check(partial)
                except BadProfile as error:
                    raise BadProfile(
                        error.message.replace(partial, target), hint=error.hint.replace(partial, target)
                    ) from error
                replace(partial, target)
                sync_folder(os.path.dirname(target))
            finally:
                with contextlib.suppress(OSError):
                    unlink(partial)
    except OSError as error:
        raise Unavailable(f"cannot write the {what} {quoted(file, 200)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadProfile(f"{quoted(file, 200)}: not UTF-8") from error


def _private(file: str) -> str:
    """Return the folder of a file if it is a default place in the user's home, otherwise an empty text."""
    folder = os.path.dirname(file)
    try:
        return folder if folder in {user_folder(kind, os.environ) for kind in ("config", "data")} else ""
    except Unavailable:
        return ""


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Lock a folder against changes by other mreg processes (not on Windows, where folders cannot be locked)."""
    with opened_folder(folder) as descriptor:
        if descriptor >= 0:
            lock(descriptor)
        yield
