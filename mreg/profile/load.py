"""Find, merge and validate the settings of arguments, variables and files: one `Profile`.

The first source that has a key decides: argument, ``MREG_*`` variable, ``mreg.yaml`` in the working folder or the
nearest folder above it, profile in the user's file, default.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mreg.domain.buckets import is_bucket
from mreg.domain.password import Password
from mreg.domain.text import Caution, nearest, quoted
from mreg.errors import BadInput, BadProfile, NotFound, Unavailable
from mreg.profile.place import PASSWORD, TRUE, pair_locations, place
from mreg.profile.project import ProjectFile, find_project, project_values
from mreg.profile.reading import NAME, Values, document, mapping, origin_of, text_of, unknown_key
from mreg.results.profiles import KEYS, Profile

if TYPE_CHECKING:
    from mreg.documents import Node
    from mreg.domain.hook import Hook
    from mreg.domain.token_command import TokenCommand
    from mreg.results.configuration import ProfileEntry

BUILT_IN = "local"
STORE = ("catalog", "artifacts")
PLACES = ("server", *STORE)
"""Keys that name a registry: a server, or a catalog and its artifacts."""

_PLACE_VARIABLES = tuple(f"MREG_{key.upper()}" for key in PLACES)

NOT_OF_SERVERS = (*STORE, "endpoint_url", "region", "aws_profile", "addressing_style")
"""Keys without a meaning for a client of a server."""

NESTED = ("hooks", "token_command")
"""Keys of a profile whose value is a list; only the user's own profile file can have them."""

WORDS_LIMIT = 100
"""Maximum number of words of a token command."""

_GIVEN = ("argument", "MREG_CATALOG", "MREG_ARTIFACTS", "MREG_ENDPOINT_URL")


def load_profile(
    *,
    profile: str | None = None,
    config: str | os.PathLike[str] | None = None,
    catalog: str | None = None,
    artifacts: str | None = None,
    user: str | None = None,
    server: str | None = None,
    token: str | None = None,
    environ: Mapping[str, str] | None = None,
    alone: bool = False,
    trust_project: bool = False,
    notice: Callable[[str], None] | None = None,
) -> Profile:
    """Return the profile that applies in the working folder; creates nothing.

    Args:
        profile: Name of the profile (default: MREG_PROFILE, the project file, the profile file's default, or local).
        config: Profile file (default: MREG_CONFIG, or the user's profile file).
        catalog: Catalog, overriding all other sources; the same for ``artifacts``, ``user`` and ``server``.
        token: Token for the server (default: MREG_TOKEN, the profile's command, or the saved one).
        environ: Environment variables (default: those of the process).
        alone: Ignore ``MREG_*`` settings and the project file.
        trust_project: Use the store that the project file names without the user's permission, as MREG_TRUST_PROJECT=1.
        notice: Receives notes for the user, such as why a project file is ignored.

    Raises:
        BadProfile: A file is damaged or has an unknown key or invalid value (the message has file and line); one source
            names both a server and a catalog or artifacts; or the project file names a store outside its folder or a
            server that the user has not allowed.
        NotFound: The profile does not exist, or the given profile file does not exist.
    """
    variables = os.environ if environ is None else environ
    trusting = trust_project or is_trusting(variables)
    tell = notice or (lambda _text: None)
    project, project_layer = (None, {}) if alone else project_here(variables, trusting=trusting, notice=tell)
    file = config_file(config, variables)
    read = _read_named(file, config, variables)
    profiles = read.profiles
    name, origin = _chosen_name(profile, variables, project_layer, read.default)
    if name not in profiles and name != BUILT_IN:
        known = sorted({*profiles, BUILT_IN})
        near = nearest(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
        source = "" if profile else f" ({origin})"  # of a name that the caller did not give
        raise NotFound(f"profile {quoted(name)} not found{source}", hint=hint, kind="profile", name=name)
    layers: list[Values] = [
        _arguments({"server": server, "catalog": catalog, "artifacts": artifacts, "user": user}),
        {} if alone else _variables(variables),
        project_layer,
        filled(profiles.get(name, {}), variables, file),
    ]
    # A project's catalog and artifacts are used together or not at all.
    overridden = any(key in layer for layer in layers[:2] for key in PLACES)
    from_project = not overridden and any(key in project_layer for key in PLACES)
    if not from_project:
        layers[2] = {key: value for key, value in project_layer.items() if key not in PLACES}
    layers = _one_registry(layers)
    values: Values = {"name": (name, origin)}
    password = ""
    for key in KEYS:
        found = next((layer for layer in layers if key in layer), {})
        if found:
            values[key] = found[key]
        if key == "catalog" and PASSWORD in found:
            password = found[PASSWORD][0]
    own = profiles.get(name, {})
    if profile and (overridden or from_project) and not any(key in layers[0] for key in PLACES):
        _tell_of_override(name, own, values, variables, file, tell)
    if "server" in values:
        from mreg.profile.server import Sources, server_profile

        selected = not overridden and project_layer.get("profile") == (name, origin)
        sources = Sources(
            file=file,
            read=read,
            project=project if from_project else None,
            chosen_at=values["server"][1] if from_project else origin if selected else "",
            project_here=project,
            project_values=project_layer,
            variables=variables,
            alone=alone,
            trusting=trusting,
        )
        return server_profile(values, sources, token, tell)
    pair_locations(values)
    if "catalog" not in values:
        folder = user_folder("data", variables)
        values["catalog"] = (os.path.join(folder, "catalog.db"), "default")
        values["artifacts"] = (os.path.join(folder, "artifacts"), "default")
    active = read.hooks.get(name, ())
    # Hooks run only for the store that their profile names: any other store can be prepared by another person.
    trusted = not active or values["catalog"][1] == "default" or _names(own, values, variables, file)
    adopts = trusted
    if project is not None and from_project:
        if trusting:
            trusted = adopts = True
        else:
            by_profile = any(_names(entry, values, variables, file) for entry in profiles.values())
            trusted = adopts = (
                _allowed(project, project_layer, variables, named=by_profile, needed=not trusted) or trusted
            )
        if not trusted:
            no_hooks = f"the hooks of the profile {name} do not run for the registry of {project.path}"
            tell(Caution(f"{no_hooks}; to run them: mreg trust"))
    elif not trusted and any(key in own for key in PLACES):
        origins = [values[key][1] for key in (*STORE, "endpoint_url") if key in values]
        source = next((origin for origin in origins if origin in _GIVEN), origins[0])
        tell(Caution(f"the hooks of the profile {name} do not run: the catalog or the artifacts come from {source}"))
    else:
        trusted = True
    if not trusted:
        active = ()
    return Profile(
        **{key: value for key, (value, _) in values.items()},  # type: ignore[arg-type]
        password=Password(password),
        hooks=active,
        adopts=adopts,
        origins={key: origin for key, (_, origin) in values.items()},
    )


def _tell_of_override(
    name: str,
    own: Values,
    values: Values,
    variables: Mapping[str, str],
    file: str,
    tell: Callable[[str], None],
) -> None:
    """Tell that a variable or a project file overrides the registry of the profile that the caller named."""
    key = next(key for key in PLACES if key in values and values[key][1] != own.get(key, ("", ""))[1])
    given, origin = values[key]
    if "server" in own or "server" in values:
        try:
            same = (
                filled({"server": own["server"]}, variables, file)["server"][0] == given if "server" in own else False
            )
        except BadProfile:
            same = False  # has a variable that is not set
    else:
        pair_locations(values)
        same = _names(own, values, variables, file)
    if same or not (name == BUILT_IN or any(key in own for key in PLACES)):
        return
    way = ""
    if origin.startswith("MREG_"):
        from mreg.profile.variables import clearing

        way = f"; to use the profile's: {clearing(*(one for one in _PLACE_VARIABLES if variables.get(one)))}"
    tell(Caution(f"{origin} overrides the registry of the profile {name}: {given} is used{way}"))


def _one_registry(layers: list[Values]) -> list[Values]:
    """Return the layers with only the server, or only catalog and artifacts: what the first layer with one of them has.

    Raises:
        BadProfile: That layer has both.
    """
    first = next((layer for layer in layers if any(key in layer for key in PLACES)), {})
    unused: tuple[str, ...] = ("server",) if first else ()
    if "server" in first:
        other = next((key for key in STORE if key in first), "")
        if other:
            raise BadProfile(
                f"{first['server'][1]}: server and {other} exclude each other",
                hint=f"remove one of them: a server has its own catalog and artifacts ({other}: {first[other][1]})",
            )
        unused = NOT_OF_SERVERS
    return [{key: value for key, value in layer.items() if key not in unused} for layer in layers]


def project_here(
    variables: Mapping[str, str], *, trusting: bool = False, notice: Callable[[str], None] = lambda _text: None
) -> tuple[ProjectFile | None, Values]:
    """The project file that holds here and what it says; a doubtful one is ignored with a notice.

    Raises:
        BadProfile: It is broken, or says what only the user's own file may.
    """
    project = find_project(variables)
    if project is None:
        return None, {}
    if not project.doubt:
        return project, project_values(project)
    # A doubtful file is not even parsed, unless the user has allowed its folder.
    if project.data is not None:
        from mreg.profile.trust import is_known, is_trusted

        if trusting:
            return project, project_values(project)
        if is_known(project, variables):
            values = project_values(project)
            if is_trusted(project, values, variables):
                return project, values
    notice(Caution(project.note))
    return None, {}


def _names(entry: Values, store: Values, variables: Mapping[str, str], file: str) -> bool:
    """Return whether a profile names this store: its catalog, its artifacts, and the endpoint of a bucket."""
    try:
        found = filled(entry, variables, file)
        pair_locations(found)
    except BadProfile:
        return False  # an invalid profile that is not in use, for example with a variable that is not set
    nothing = ("", "")
    keys = (*STORE, "endpoint_url") if any(is_bucket(store[key][0]) for key in STORE) else STORE
    return all(found.get(key, nothing)[0] == store.get(key, nothing)[0] for key in keys)


def _allowed(project: ProjectFile, values: Values, variables: Mapping[str, str], *, named: bool, needed: bool) -> bool:
    """Return whether the user has allowed the project's store.

    Args:
        named: Whether a profile of the user names the store, which allows it to be outside the folder.
        needed: Whether the answer is needed even if the store is inside the folder.

    Raises:
        BadProfile: The store is outside the folder, and not allowed.
    """
    outside = [] if named else [key for key in STORE if "://" in values[key][0]]
    if not outside and not needed:
        return False
    from mreg.profile.trust import is_trusted

    allowed = is_trusted(project, values, variables)
    if outside and not allowed:
        key = next((key for key in outside if values[key][1].startswith(project.path)), outside[0])
        place, origin = values[key]
        import shlex

        raise BadProfile(
            f"{origin}: the project file sets {key} to {place}, and this folder is not trusted",
            hint=f"mreg trust {shlex.quote(project.folder)}",
            file=project.path,
            store=place,
        )
    return allowed


def is_trusting(variables: Mapping[str, str]) -> bool:
    """Return whether MREG_TRUST_PROJECT allows every project file to name a store."""
    return variables.get("MREG_TRUST_PROJECT", "").lower() in TRUE


def _origin_of_file(config: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> str:
    """Return what names the profile file; empty for the user's."""
    return "--config" if config else "MREG_CONFIG" if variables.get("MREG_CONFIG") else ""


def _read_named(file: str, config: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> ProfileFile:
    """Read the profile file like `read_profiles`; a file that an option or a variable names must exist."""
    origin = _origin_of_file(config, variables)
    try:
        return read_profiles(file, required=bool(origin))
    except NotFound as error:
        names = "MREG_CONFIG names it; " if origin == "MREG_CONFIG" else ""
        error.hint = f"{names}add a profile to create it: mreg profile add --help"
        raise


def config_file(config: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> str:
    """Return the path of the profile file, which need not exist: the given one, MREG_CONFIG, or the user's.

    The path is empty if there is no profile file: the null device is named, or there is no home folder.
    """
    named = os.fspath(config or variables.get("MREG_CONFIG", ""))
    if named:
        return "" if _is_null_device(named) else os.path.abspath(os.path.expanduser(named))
    try:
        return os.path.join(user_folder("config", variables), "config.yaml")
    except Unavailable:
        return ""


def _is_null_device(path: str) -> bool:
    if os.name == "nt":
        return path.lower() == os.devnull
    return os.path.realpath(path) == os.devnull


def editable_file(config: str | os.PathLike[str] | None, variables: Mapping[str, str]) -> str:
    """Return the path of the profile file for a change.

    Raises:
        BadProfile: There is no profile file: the null device is named.
        Unavailable: The home folder cannot be determined.
    """
    file = config_file(config, variables)
    if file:
        return file
    origin = _origin_of_file(config, variables)
    if origin:
        raise BadProfile(f"cannot change the profile file: {origin} is {os.devnull}", hint=f"name a file with {origin}")
    raise _no_home()


def user_folder(kind: str, variables: Mapping[str, str]) -> str:
    """Return the user's mreg folder for ``config``, ``data`` or ``cache``.

    Raises:
        Unavailable: The home folder cannot be determined.
    """
    base = variables.get(f"XDG_{kind.upper()}_HOME", "")
    if str(sys.platform) == "linux":  # str: keeps mypy from treating the rest as unreachable on other systems
        # The result of platformdirs on Linux (XDG base directory specification), without the cost of its import.
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
        "cannot find a home folder for the profile file and the registry",
        hint="set HOME, or MREG_CATALOG and MREG_CONFIG",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFile:
    """The content of a profile file.

    Attributes:
        profiles: The values of each profile, without filling in variables.
        default: The default profile with its origin, None if the file names none.
        hooks: The hooks of each profile that has some.
        token_commands: The token command of each profile that has one.
    """

    profiles: Mapping[str, Values] = field(default_factory=dict)
    default: tuple[str, str] | None = None
    hooks: Mapping[str, tuple[Hook, ...]] = field(default_factory=dict)
    token_commands: Mapping[str, TokenCommand] = field(default_factory=dict)


def read_profiles(file: str, *, required: bool) -> ProfileFile:
    """Read a profile file.

    Args:
        file: Path of the file, empty for none.
        required: Whether the file must exist.

    Raises:
        BadProfile: The file is damaged, or has an unknown key or invalid value.
        NotFound: The file is required and does not exist.
    """
    if not file or (not required and not os.path.lexists(file)):
        return ProfileFile()
    root = document(file)
    profiles: dict[str, Values] = {}
    default: tuple[str, str] | None = None
    hooks: dict[str, tuple[Hook, ...]] = {}
    commands: dict[str, TokenCommand] = {}
    for key, node in mapping(root, file, "a profile file").items():
        if key == "default":
            default = (text_of(key, node, file), origin_of(file, node))
        elif key == "profiles":
            for name, inner in mapping(node, file, "profiles").items():
                if not NAME.fullmatch(name):
                    raise BadProfile(f"{origin_of(file, inner)}: invalid profile name {quoted(name)}")
                profiles[name] = _profile_values(inner, file)
                keys = mapping(inner, file, "a profile")
                if "hooks" in keys:
                    hooks[name] = _hooks(keys["hooks"], file)
                if "token_command" in keys:
                    commands[name] = _command(keys["token_command"], file)
        else:
            raise unknown_key(key, ("default", "profiles"), file, node)
    return ProfileFile(profiles=profiles, default=default, hooks=hooks, token_commands=commands)


def _profile_values(node: Node, file: str) -> Values:
    values: Values = {}
    for key, inner in mapping(node, file, "a profile").items():
        if key in NESTED:
            continue
        if key == "token":
            raise BadProfile(
                f"{origin_of(file, inner)}: a token is not written in a profile",
                hint="remove it, and save the token: mreg login URL; or name a command that prints it: token_command",
            )
        if key not in KEYS:
            raise unknown_key(key, (*KEYS, *NESTED), file, inner)
        values[key] = (text_of(key, inner, file), origin_of(file, inner))
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
        raise BadProfile(f"{origin_of(file, node)}: {error.message}", hint=error.hint) from error


def _command(node: Node, file: str) -> TokenCommand:
    from mreg.domain.token_command import TokenCommand

    place = origin_of(file, node)
    words = node.value if isinstance(node.value, list) else []
    if not 0 < len(words) <= WORDS_LIMIT:
        raise BadProfile(
            f"{place}: token_command must be a list of 1 to {WORDS_LIMIT} words",
            hint="write each word as an item: token_command: [pass, show, mreg]",
        )
    texts = tuple(text_of("a word of token_command", word, file) for word in words)
    if not texts[0] or any("\0" in text for text in texts):
        raise BadProfile(
            f"{place}: token_command has an empty or invalid word",
            hint="write the program and its arguments: token_command: [pass, show, mreg]",
        )
    return TokenCommand(words=texts, place=place, folder=os.path.dirname(file))


VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def filled(values: Values, variables: Mapping[str, str], file: str) -> Values:
    """Return the values with each ``${VAR}`` replaced, and paths made absolute from the folder of the file."""
    folder = os.path.dirname(file)
    found: Values = {}
    for key, (text, origin) in values.items():
        pieces = VARIABLE.split(text)  # texts of the file, and between them the names of variables
        for name in pieces[1::2]:
            if name not in variables:
                raise BadProfile(
                    f"{origin}: the environment variable {name} is not set",
                    hint=f"set the variable: export {name}=...",
                )
        filled = [variables[piece] if number % 2 else piece for number, piece in enumerate(pieces)]
        written = "".join(" " if number % 2 else "x" for number, piece in enumerate(filled) for _ in piece)

        def is_written(start: int, end: int, written: str = written) -> bool:
            return "x" in written[start:end]

        place(found, key, "".join(filled), folder, origin, is_written=is_written)
    return found


def _arguments(given: Mapping[str, str | None]) -> Values:
    found: Values = {}
    for key, value in given.items():
        if value:
            place(found, key, value, None, "argument")
    return found


def _variables(variables: Mapping[str, str]) -> Values:
    found: Values = {}
    for key in KEYS:
        name = f"MREG_{key.upper()}"
        if variables.get(name):
            place(found, key, variables[name], None, name)
    return found


def _chosen_name(
    flag: str | None, variables: Mapping[str, str], project: Values, default: tuple[str, str] | None
) -> tuple[str, str]:
    if flag:
        return flag, "--profile"
    if variables.get("MREG_PROFILE"):
        return variables["MREG_PROFILE"], "MREG_PROFILE"
    return project.get("profile") or default or (BUILT_IN, "default")


def list_profiles(
    *,
    profile: str | None = None,
    config: str | os.PathLike[str] | None = None,
    trust_project: bool = False,
    notice: Callable[[str], None] | None = None,
) -> tuple[ProfileEntry, ...]:
    """Return all profiles, the built-in one first; see `load_profile` for the arguments."""
    from mreg.results.configuration import ProfileEntry

    file = config_file(config, os.environ)
    read = _read_named(file, config, os.environ)
    trusting = trust_project or is_trusting(os.environ)
    _, values = project_here(os.environ, trusting=trusting, notice=notice or (lambda _text: None))
    active, _ = _chosen_name(profile, os.environ, values, read.default)
    entries = (
        [] if BUILT_IN in read.profiles else [ProfileEntry(name=BUILT_IN, origin="built in", active=active == BUILT_IN)]
    )
    entries += [ProfileEntry(name=name, origin=file, active=active == name) for name in read.profiles]
    return tuple(entries)
