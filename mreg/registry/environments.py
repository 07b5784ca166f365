"""The Python environment of the training code, read from its folders: no program is started and nothing is imported.

The name of a package's metadata folder has the package and the version, so no file of a package is read, and a listing
takes a few milliseconds. An environment is read only if the user names it, with an option or by activating it. A
``.venv`` folder of a project is not looked for.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mreg.domain.text import quoted
from mreg.errors import BadInput, NotFound
from mreg.processes import find_program
from mreg.registry.small_file import native_path, read_small_text

FRAMEWORKS = frozenset(
    "accelerate catboost diffusers fastai flax gluonts jax joblib keras lightgbm mlflow numpy onnx onnxruntime pandas "
    "peft prophet pytorch-lightning lightning safetensors scikit-learn scipy sentence-transformers skops spacy "
    "statsmodels tensorflow timm tokenizers torch torchvision transformers vllm xgboost".split()
)
"""Packages whose version is recorded, by normalised name."""

ENTRIES = 100_000
"""Maximum number of entries of a folder that are read; a large environment has about 2,000."""

CONFIGURATION_BYTES = 64 << 10
"""Maximum size in bytes of a ``pyvenv.cfg`` or ``patchlevel.h`` that is read."""

_VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX")
"""Variables of an active environment. A virtual environment is often active within a conda environment."""

_INFO = re.compile(r"(.+?)-([0-9][^-]*)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
_LIBRARY = re.compile(r"(?:python|pypy)([0-9])\.([0-9]{1,3})t?")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEnvironment:
    """The environment of the training code.

    Attributes:
        source: How it was found: ``given``, the variable ``VIRTUAL_ENV`` or ``CONDA_PREFIX``, ``process`` (the process
            that calls the Python API), or ``mreg`` (the environment in which mreg is installed).
        prefix: Its folder; empty for that of this process.
        python: Version of Python, as far as the name of the interpreter shows it.
    """

    source: str
    prefix: str = ""
    python: str = ""


PROCESS = TrainingEnvironment(source="process")


def training_environment(
    python: TrainingEnvironment | str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> TrainingEnvironment:
    """Return the environment that the argument ``python`` of a push means; see `mreg.Registry.push`.

    Raises:
        NotFound, BadInput: See `given_environment`.
    """
    if python is None:
        return PROCESS
    return python if isinstance(python, TrainingEnvironment) else given_environment(python, environ)


def active_environment(environ: Mapping[str, str], notice: Callable[[str], None]) -> TrainingEnvironment:
    """Return the active environment, or that of mreg if none is active.

    Args:
        notice: Receives a note if a variable does not name an environment.
    """
    for name in _VARIABLES:
        prefix = environ.get(name)
        if not prefix:
            continue
        if _same_folder(prefix, sys.prefix):
            return TrainingEnvironment(source=name)
        found = TrainingEnvironment(source=name, prefix=os.path.abspath(prefix))
        if is_environment(found):
            return found
        notice(f"{name} is not a Python environment and is ignored: {prefix}")
    return TrainingEnvironment(source="mreg")


def given_environment(path: str | os.PathLike[str], environ: Mapping[str, str]) -> TrainingEnvironment:
    """Return the environment of an interpreter, such as ``.venv/bin/python`` or ``python3.12``, or of a folder.

    Raises:
        NotFound: There is no such file or folder, and no such program in PATH.
        BadInput: It is neither an interpreter nor an environment.
    """
    text = os.fspath(path)
    place = os.path.abspath(os.path.expanduser(text))
    hint = "give the folder that this command prints: python -c 'import sys; print(sys.prefix)'"
    try:
        if not os.path.exists(place):
            place = find_program(text, environ) if text and os.path.basename(text) == text else ""
        if not place:
            raise NotFound(f"no Python interpreter or environment {quoted(text)}", hint=hint)
        found = TrainingEnvironment(source="given", prefix=place) if os.path.isdir(place) else _interpreter(place)
    except ValueError:  # a NUL character
        raise BadInput(f"invalid path {quoted(text)}", hint=hint) from None
    if found is None or not is_environment(found):
        raise BadInput(f"not a Python interpreter or environment: {quoted(text, 500)}", hint=hint)
    return found if not _same_folder(found.prefix, sys.prefix) else TrainingEnvironment(source="given")


def _interpreter(path: str) -> TrainingEnvironment | None:
    """Return the environment of an interpreter: a link to it belongs to the environment that has the link."""
    for _ in range(40):  # the kernel's own limit of links
        if not re.match(r"(?:python|pypy)", os.path.basename(path), re.IGNORECASE):
            return None
        for folder in (os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
            if os.path.isfile(os.path.join(folder, "pyvenv.cfg")):
                return TrainingEnvironment(source="given", prefix=folder)
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    folder = os.path.dirname(path)
    prefix = folder if os.path.isdir(os.path.join(folder, "Lib")) else os.path.dirname(folder)
    version = _VERSION.search(os.path.basename(path))
    return TrainingEnvironment(source="given", prefix=prefix, python=version[0] if version else "")


def is_environment(environment: TrainingEnvironment) -> bool:
    """Return whether a folder has packages of Python or the configuration of a virtual or conda environment."""
    prefix = environment.prefix
    marks = ("pyvenv.cfg", os.path.join("conda-meta", "history"))
    try:
        return any(os.path.isfile(os.path.join(prefix, mark)) for mark in marks) or bool(_folders(environment, {}))
    except ValueError:
        return False


def _same_folder(first: str, second: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(first, second)
    return False


def versions(environment: TrainingEnvironment) -> dict[str, str]:
    """Return the versions of Python and of known frameworks, the platform, and ``source``, by name."""
    if environment.prefix:
        configuration = _configuration(environment.prefix)
        folders = _folders(environment, configuration)
        python = _python(environment, configuration)
    else:
        folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        python = ".".join(str(part) for part in sys.version_info[:3])
    found = {
        "source": environment.source,
        "platform": f"{sys.platform}-{os.uname().machine}" if hasattr(os, "uname") else sys.platform,
    }
    if python:
        found["python"] = python
    for folder in folders:
        for name, several in _packages(folder).items():
            if name not in found:
                found[name] = _line(several[0][0] if len(several) == 1 else _installed(several))
    return dict(sorted((name, value) for name, value in found.items() if value))


def _packages(folder: str) -> dict[str, list[tuple[str, str]]]:
    """Return the metadata folders of known frameworks, as pairs of version and path, by package."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in _names(folder):
        match = _INFO.fullmatch(entry) if entry.endswith("-info") else None
        name = re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""
        if match and name in FRAMEWORKS:
            found.setdefault(name, []).append((match[2], os.path.join(folder, entry)))
    return found


def _installed(several: list[tuple[str, str]]) -> str:
    """Return the latest version that has a file of metadata: an interrupted removal leaves folders without one."""

    def rank(candidate: tuple[str, str]) -> tuple[bool, list[int], str]:
        version, path = candidate
        complete = any(os.path.isfile(os.path.join(path, name)) for name in ("METADATA", "PKG-INFO"))
        return complete, [int(number[:9]) for number in re.findall(r"[0-9]+", version)], version

    return max(several, key=rank)[0]


def _names(folder: str) -> Iterator[str]:
    """Yield at most `ENTRIES` names in a folder; none if it cannot be read."""
    with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
        yield from (entry.name for entry in islice(entries, ENTRIES))


def _configuration(prefix: str) -> dict[str, str]:
    """Return the settings of ``pyvenv.cfg`` (PEP 405), with keys in lower case."""
    text = read_small_text(os.path.join(prefix, "pyvenv.cfg"), limit=CONFIGURATION_BYTES)
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and "\0" not in line)
    return {key.strip().lower(): native_path(value.strip()) for key, _, value in lines}


def _python(environment: TrainingEnvironment, configuration: Mapping[str, str]) -> str:
    """Return the version of Python, with two or three numbers; empty if it is unknown."""
    for key in ("version", "version_info"):
        match = _VERSION.match(configuration.get(key, ""))
        if match:
            return match[0]
    for name in sorted(_names(os.path.join(environment.prefix, "conda-meta"))):
        match = re.fullmatch(r"python-([0-9.]{1,20})[^-]*-[^-]+\.json", name)
        if match:
            return match[1]
    for library, version in _libraries(environment, configuration):
        name = os.path.basename(library)
        header = os.path.join(environment.prefix, "include", name, "patchlevel.h")
        text = read_small_text(header, limit=CONFIGURATION_BYTES)
        match = re.search(r'^#define PY_VERSION +"([0-9.]+)', text, re.MULTILINE)
        return match[1] if match else version
    return environment.python


def _libraries(environment: TrainingEnvironment, configuration: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the library folders of the environment's Python with its version, such as ``lib/python3.12`` and 3.12.

    A folder can have libraries of several versions; without another sign, the latest counts.
    """
    found: list[tuple[tuple[int, int], str]] = []
    for library in ("lib", "lib64"):
        folder = os.path.join(environment.prefix, library)
        matches = (_LIBRARY.fullmatch(name) for name in _names(folder))
        found += [((int(each[1]), int(each[2])), os.path.join(folder, each[0])) for each in matches if each]
    if not found:
        return []
    said = _VERSION.match(configuration.get("version") or configuration.get("version_info") or environment.python)
    wanted = tuple(int(number) for number in said[0].split(".")[:2]) if said else ()
    chosen = wanted if any(version == wanted for version, _ in found) else max(found)[0]
    return [(path, f"{version[0]}.{version[1]}") for version, path in sorted(found) if version == chosen]


def _folders(environment: TrainingEnvironment, configuration: Mapping[str, str]) -> list[str]:
    """Return the folders of packages, in the order of Python's search: the environment's own, then the system's."""
    prefix = environment.prefix
    folders = [os.path.join(prefix, "Lib", "site-packages")]  # Windows
    for library, _ in _libraries(environment, configuration):
        local = os.path.join(prefix, "local", "lib", os.path.basename(library), "dist-packages")  # Debian
        folders += [local, os.path.join(library, "site-packages"), os.path.join(library, "dist-packages")]
    folders.append(os.path.join(prefix, "lib", "python3", "dist-packages"))  # Debian
    home = configuration.get("home", "")
    if home and configuration.get("include-system-site-packages", "").lower() == "true":
        base = os.path.dirname(home) if os.path.basename(home) in ("bin", "Scripts") else home
        folders += _folders(TrainingEnvironment(source="", prefix=base, python=_python(environment, configuration)), {})
    real = {os.path.realpath(folder): folder for folder in reversed(folders) if os.path.isdir(folder)}
    return [folder for folder in folders if real.get(os.path.realpath(folder)) == folder]


def _line(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:250]
