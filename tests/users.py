"""Other users of the machine, for tests that run as root: a person runs mreg as a process with ids of their own.

The interpreter and the checkout may lie in folders that only root can enter. `become` therefore opens every folder of
``sys.path`` first and imports from the open folders.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.forking import COMMAND_LINE, SCRIPT, forked_mreg

START = """
import json, os, sys
uid, gid, groups, umask = json.loads(sys.argv.pop(1))
opened = {}
for index, path in enumerate(sys.path):
    if os.path.isdir(path):
        opened[path] = f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_DIRECTORY)}"
        sys.path[index] = opened[path]
for module in list(sys.modules.values()):
    if hasattr(module, "__path__"):
        module.__path__ = [
            next((there + one[len(path):] for path, there in opened.items() if path and one.startswith(path)), one)
            for one in module.__path__
        ]
sys.path_importer_cache.clear()
os.setgroups(groups)
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
os.umask(umask)
script = sys.argv.pop(1)
exec(script, {"__name__": "__main__"})
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command of a person did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user with a home of their own.

    Attributes:
        groups: Of which they are a member beside their own.
        place: The folder for homes; everybody can enter it.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    umask: int = 0o022
    place: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Made at the first use, for this person alone."""
        home = self.place / f"home-{self.name}"
        if not home.exists():
            home.mkdir()
            os.chown(home, self.uid, self.gid)
            home.chmod(0o700)
        return home

    def with_umask(self, umask: int) -> Person:
        """The same person with another umask."""
        return Person(**{**self.__dict__, "umask": umask})

    def start(self, *words: str, script: str = COMMAND_LINE, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command, or a Python script."""
        home = str(self.home)
        environment = {
            **os.environ,
            "HOME": home,
            "TMPDIR": home,
            "MREG_USER": self.name,
            **self.variables,
            SCRIPT: START,
        }
        environment |= options.pop("variables", {})
        environment.pop("PYTHONSTARTUP", None)
        ids = json.dumps([self.uid, self.gid, list(self.groups), self.umask])
        return subprocess.Popen(
            [forked_mreg(), ids, script, *map(str, words)],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            **options,
        )

    def run(self, *words: str, script: str = COMMAND_LINE, **options: Any) -> Done:
        """Run a command to its end."""
        with self.start(*words, script=script, **options) as child:
            out, err = child.communicate(timeout=60)
        return Done(child.returncode, out.decode(), " ".join(err.decode().split()))

    def write(self, name: str, data: str) -> Path:
        """A file in their home."""
        path = self.home / name
        path.write_text(data)
        os.chown(path, self.uid, self.gid)
        return path
