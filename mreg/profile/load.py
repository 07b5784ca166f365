"""Find, merge and validate: from flags, variables and files to one `Profile`.

Precedence, key by key: a flag, an ``MREG_*`` variable, ``mreg.yaml`` found by walking up from the working folder, the
profile in the user's file, the default.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput, BadProfile, NotFound, Unavailable
from mreg.profile.place import location
from mreg.profile.schema import KEYS, PROJECT_KEYS, Profile, ProfileEntry

if TYPE_CHECKING:
    from mreg.documents import Node
    from mreg.domain.hook import Hook

PROJECT_FILE = "mreg.yaml"
BUILT_IN = "local"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Values = dict[str, tuple[str, str]]
"""Value and origin by key."""


def load_profile(
    *,
    profile: str | None = None,
    config: str | os.PathLike[str] | None = None,
    catalog: str | None = None,
    artifacts: str | None = None,
    user: str | None = None,
    environ: Mapping[str, str] | None = None,
    alone: bool = False,
) -> Profile:
    """The profile that holds here and now; nothing is made.

    Args:
        profile: Its name; None to find it.
        config: The profile file in place of MREG_CONFIG or the user's.
        catalog: In place of every other source, as artifacts and user.
        environ: In place of the process's variables.
        alone: What the profile itself says, whatever variables and the project file say here.

    Raises:
        BadProfile: A file is broken or says something unknown; the message has file and line.
        NotFound: There is no such profile, or the file that was named does not exist.
    """
    variables = os.environ if environ is None else environ
    project = {} if alone else project_values()
    file = config_file(config, variables)
    profiles, default, hooks = read_profiles(file, required=_is_named(config, variables))
    name, origin = _chosen_name(profile, variables, project, default)
    if name not in profiles and name != BUILT_IN:
        known = sorted({*profiles, BUILT_IN})
        near = nearest(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise NotFound(f"there is no profile {quoted(name)} ({origin})", hint=hint, kind="profile", name=name)
    given = {"catalog": catalog, "artifacts": artifacts, "user": user}
    layers: list[Values] = [
        {key: (location(key, value, None), "flag") for key, value in given.items() if value},
        {} if alone else _variables(variables),
        {key: value for key, value in project.items() if key != "profile"},
        _filled(profiles.get(name, {}), variables),
    ]
    values: Values = {"name": (name, origin)}
    for key in KEYS:
        found = next((layer[key] for layer in layers if key in layer), None)
        if found:
            values[key] = found
    _pair_locations(values, variables)
    return Profile(
        **{key: value for key, (value, _) in values.items()},
        hooks=hooks.get(name, ()),
        origins={key: origin for key, (_, origin) in values.items()},
    )


def _is_named(config: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> bool:
    return bool(config or variables.get("MREG_CONFIG"))


def config_file(config: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> str:
    """The file with profiles: the one named, MREG_CONFIG's, or the user's, whether it exists or not."""
    if config or variables.get("MREG_CONFIG"):
        return os.path.abspath(os.path.expanduser(os.fspath(config or variables["MREG_CONFIG"])))
    return os.path.join(user_folder("config", variables), "config.yaml")


def user_folder(kind: str, variables: Mapping[str, str]) -> str:
    """The user's folder for ``config``, ``data`` or ``cache`` of mreg.

    Raises:
        Unavailable: No home folder can be found.
    """
    base = variables.get(f"XDG_{kind.upper()}_HOME", "")
    if str(sys.platform) == "linux":  # str: mypy takes the name alone for a promise
        # What platformdirs answers there (the XDG base directory specification), without the price of its import.
        home = os.path.expanduser("~")
        if os.path.isabs(base) or os.path.isabs(home):
            own = os.path.join(home, {"config": ".config", "data": ".local/share", "cache": ".cache"}[kind])
            return os.path.join(base if os.path.isabs(base) else own, "mreg")
        raise _no_home()
    import platformdirs

    try:
        return str(getattr(platformdirs, f"user_{kind}_dir")("mreg"))
    except (RuntimeError, KeyError) as error:
        raise _no_home() from error


def _no_home() -> Unavailable:
    return Unavailable(
        "no home folder can be found for the profile and the store", hint="set HOME, or MREG_CATALOG and MREG_CONFIG"
    )


def read_profiles(
    file: str, *, required: bool
) -> tuple[dict[str, Values], tuple[str, str] | None, dict[str, tuple[Hook, ...]]]:
    """The profiles of a file, unfilled, its default with its origin, and the hooks by profile.

    Raises:
        BadProfile: The file is broken or says something unknown.
        NotFound: It does not exist and was named.
    """
    if not required and not os.path.lexists(file):
        return {}, None, {}
    root = _document(file)
    profiles: dict[str, Values] = {}
    default: tuple[str, str] | None = None
    hooks: dict[str, tuple[Hook, ...]] = {}
    for key, node in _mapping(root, file, "a profile file").items():
        if key == "default":
            default = (_text(key, node, file), _origin(file, node))
        elif key == "profiles":
            for name, inner in _mapping(node, file, "profiles").items():
                if not NAME.fullmatch(name):
                    raise BadProfile(f"{_origin(file, inner)}: {quoted(name)} can't be a profile's name")
                profiles[name] = _profile_values(inner, file)
                if "hooks" in _mapping(inner, file, "a profile"):
                    hooks[name] = _hooks(_mapping(inner, file, "a profile")["hooks"], file)
        else:
            raise _unknown_key(key, ("default", "profiles"), file, node)
    return profiles, default, hooks


def _document(file: str) -> Node:
    from mreg.documents import read_document

    try:
        return read_document(file, what="profile file")
    except BadInput as error:
        raise BadProfile(error.message, hint=error.hint or "mreg profile --help") from error


def _mapping(node: Node, file: str, what: str) -> dict[str, Node]:
    from mreg.documents import Scalar

    if isinstance(node.value, Scalar) and node.value.kind == "null":
        return {}
    if not isinstance(node.value, dict):
        raise BadProfile(f"{_origin(file, node)}: {what} must be a mapping", hint="see the README's page on profiles")
    return node.value


def _text(key: str, node: Node, file: str) -> str:
    from mreg.documents import Scalar

    if not isinstance(node.value, Scalar) or node.value.kind not in ("string", "number"):
        raise BadProfile(f"{_origin(file, node)}: {key} must be a text")
    return node.value.text


def _origin(file: str, node: Node) -> str:
    return f"{file}, line {node.line}" if node.line else file


def _unknown_key(key: str, known: tuple[str, ...], file: str, node: Node) -> BadProfile:
    near = nearest(key, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"
    return BadProfile(f"{_origin(file, node)}: the key {quoted(key)} is unknown", hint=hint)


def _profile_values(node: Node, file: str) -> Values:
    values: Values = {}
    for key, inner in _mapping(node, file, "a profile").items():
        if key == "hooks":
            continue
        if key not in KEYS:
            raise _unknown_key(key, (*KEYS, "hooks"), file, inner)
        values[key] = (_text(key, inner, file), _origin(file, inner))
    return values


def _hooks(node: Node, file: str) -> tuple[Hook, ...]:
    from mreg.documents import plain
    from mreg.domain.hook import parse_hooks

    try:
        return parse_hooks(plain(node), os.path.dirname(file), file)
    except BadProfile:
        raise
    except BadInput as error:
        place = error.details.get("place")
        if isinstance(place, int) and isinstance(node.value, list):
            node = node.value[place]
        raise BadProfile(f"{_origin(file, node)}: {error.message}", hint=error.hint) from error


def _filled(values: Values, variables: Mapping[str, str]) -> Values:
    """The values with ``${VAR}`` filled in, and places made absolute from the file's folder."""
    found: Values = {}
    for key, (text, origin) in values.items():
        folder = os.path.dirname(origin.rpartition(", line ")[0])

        def value_of(match: re.Match[str], origin: str = origin) -> str:
            if match[1] not in variables:
                raise BadProfile(
                    f"{origin}: the variable {match[1]} is not set", hint=f"export {match[1]}, or write the value out"
                )
            return variables[match[1]]

        filled = re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value_of, text)
        found[key] = (location(key, filled, folder, origin), origin)
    return found


def _variables(variables: Mapping[str, str]) -> Values:
    found: Values = {}
    for key in KEYS:
        name = f"MREG_{key.upper()}"
        if variables.get(name):
            found[key] = (location(key, variables[name], None, name), name)
    return found


def _chosen_name(
    flag: str | None, variables: Mapping[str, str], project: Values, default: tuple[str, str] | None
) -> tuple[str, str]:
    if flag:
        return flag, "--profile"
    if variables.get("MREG_PROFILE"):
        return variables["MREG_PROFILE"], "MREG_PROFILE"
    return project.get("profile") or default or (BUILT_IN, "default")


def _pair_locations(values: Values, variables: Mapping[str, str]) -> None:
    """Complete catalog and artifacts; one that is given alone brings the other beside it, never a private default.

    A shared store under somebody's private catalog would mix up models, silently.
    """
    catalog, artifacts = values.get("catalog"), values.get("artifacts")
    if catalog and not artifacts:
        if catalog[0].startswith("s3://"):
            values["artifacts"] = (catalog[0].rpartition("/")[0], "beside the catalog")
            return
        if "://" in catalog[0]:
            raise BadProfile(f"{catalog[1]}: artifacts must be given for this catalog", hint="artifacts: s3://...")
        values["artifacts"] = (os.path.join(os.path.dirname(catalog[0]), "artifacts"), "beside the catalog")
    elif artifacts and not catalog:
        if "://" in artifacts[0]:
            values["catalog"] = (f"{artifacts[0]}/catalog.db", "beside the artifacts")
            return
        values["catalog"] = (os.path.join(os.path.dirname(artifacts[0]), "catalog.db"), "beside the artifacts")
    elif not catalog:
        folder = user_folder("data", variables)
        values["catalog"] = (os.path.join(folder, "catalog.db"), "default")
        values["artifacts"] = (os.path.join(folder, "artifacts"), "default")


def project_file() -> str | None:
    """The project file that holds here: ``mreg.yaml`` in the working folder or the nearest one above."""
    try:
        folder = os.getcwd()
    except OSError:
        return None  # the working folder was deleted
    while True:
        file = os.path.join(folder, PROJECT_FILE)
        if os.path.lexists(file):
            return file
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def project_values() -> Values:
    """What the project file says; none of it can lead out of its folder or run anything.

    Raises:
        BadProfile: It is broken, or says what only the user's own file may.
    """
    file = project_file()
    if file is None:
        return {}
    values: Values = {}
    for key, node in _mapping(_document(file), file, "a project file").items():
        origin = _origin(file, node)
        if key in ("hooks", "profiles", "default", *KEYS) and key not in PROJECT_KEYS:
            raise BadProfile(
                f"{origin}: {key} can't be set in a project file, which may come with somebody else's repository",
                hint="put it into your own file: mreg profile list says where that is",
            )
        if key not in PROJECT_KEYS:
            raise _unknown_key(key, PROJECT_KEYS, file, node)
        text = _text(key, node, file)
        if "${" in text:
            raise BadProfile(f"{origin}: variables are not filled in a project file", hint="write the value out")
        if key in ("catalog", "artifacts") and "://" not in text:
            _check_inside(key, text, os.path.dirname(file), origin)
        if key == "catalog" and text.partition("://")[0] == "postgresql":
            # Whoever runs that server would be shown the user's password.
            raise BadProfile(
                f"{origin}: a project file can't name a server", hint="put it into your own file: mreg profile add"
            )
        values[key] = (location(key, text, os.path.dirname(file), origin), origin)
    return values


def _check_inside(key: str, text: str, folder: str, origin: str) -> None:
    inside = not os.path.isabs(text) and not text.startswith("~") and ".." not in re.split(r"[/\\]", text)
    root = os.path.realpath(folder)
    if inside:
        place = os.path.realpath(os.path.join(folder, text))
        inside = place.startswith(root.rstrip(os.sep) + os.sep)
    if not inside:
        raise BadProfile(
            f"{origin}: the {key} of a project file must be below {folder}",
            hint="put other places into your own file, and choose it here: profile: NAME",
        )


def list_profiles(
    *, profile: str | None = None, config: str | os.PathLike[str] | None = None
) -> tuple[ProfileEntry, ...]:
    """Every profile that can be chosen, the built-in one first."""
    file = config_file(config, os.environ)
    profiles, default, _ = read_profiles(file, required=_is_named(config, os.environ))
    active, _ = _chosen_name(profile, os.environ, project_values(), default)
    entries = (
        [] if BUILT_IN in profiles else [ProfileEntry(name=BUILT_IN, origin="built in", active=active == BUILT_IN)]
    )
    entries += [ProfileEntry(name=name, origin=file, active=active == name) for name in profiles]
    return tuple(entries)
