"""A folder of a group: real users with different umasks, in every order, none of whom locks another one out."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mreg.files import group_text, user_text
from tests.conftest import FULL, ROOT
from tests.users import Done, Person

TEAM, ALICE, BOB, READER = 61_000, 61_001, 61_002, 61_003
"""Ids that no system uses: a group, two members, and somebody who is not a member."""

pytestmark = [
    pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs other users, which only root can become"),
    pytest.mark.timeout(600),
]


class Shared:
    """A shared folder and the people around it."""

    def __init__(self, place: Path, umask: int = 0o002) -> None:
        self.place = place
        self.folder = place / "models"
        self.folder.mkdir()
        os.chown(self.folder, ALICE, TEAM)
        self.folder.chmod(0o2775)
        self.catalog = self.folder / "catalog.db"
        self.store = self.folder / "artifacts"
        self.count = 0
        self.alice = self._person("alice", ALICE, umask, TEAM)
        self.bob = self._person("bob", BOB, umask, TEAM)
        self.reader = self._person("reader", READER, umask)
        self.root = Person(name="root", uid=0, gid=0, umask=0o022, place=place, variables=self._variables())

    def _variables(self) -> dict[str, str]:
        return {"MREG_CATALOG": str(self.catalog), "PYTHONDONTWRITEBYTECODE": "1"}

    def _person(self, name: str, uid: int, umask: int, *groups: int) -> Person:
        return Person(
            name=name, uid=uid, gid=uid, groups=groups, umask=umask, place=self.place, variables=self._variables()
        )

    def push(self, person: Person, data: str = "") -> Done:
        self.count += 1
        person.write("m.pkl", data or f"bytes {self.count}")
        return person.run("push", "m.pkl", "--name", "m")

    def files(self) -> dict[str, os.stat_result]:
        """Everything in the folder, by its name there."""
        return {str(one.relative_to(self.folder)): one.lstat() for one in self.folder.rglob("*")}

    def versions(self, person: Person) -> int:
        done = person.run("show", "m", "--json")
        assert done.code == 0, done
        return done.out.count('"version": ')


@pytest.fixture
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mreg-shared-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def shared(place: Path) -> Shared:
    return Shared(place)


def mode(found: os.stat_result) -> int:
    return stat.S_IMODE(found.st_mode)


def kill_in_transaction(shared: Shared, person: Person) -> None:
    """Leave a log with a committed transaction, and the index, as a killed writer does."""
    script = (
        "import os, sqlite3, sys\n"
        "raw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "raw.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "raw.execute(\"UPDATE models SET description = 'from the log'\")\n"
        "print('done', flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = person.run(str(shared.catalog), script=script)
    assert (done.code, done.out) == (-signal.SIGKILL, "done\n"), done
    assert {"catalog.db-wal", "catalog.db-shm"} <= set(shared.files())


def test_a_member_who_reads_does_not_lock_the_owner_out(shared: Shared) -> None:
    assert shared.push(shared.alice).code == 0
    assert shared.bob.run("list").code == 0
    assert set(shared.files()) & {"catalog.db-wal", "catalog.db-shm"} == set()
    assert shared.push(shared.alice).code == 0
    assert shared.push(shared.bob).code == 0


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_decides_who_can_use_a_new_store(place: Path, umask: int) -> None:
    shared = Shared(place, umask)
    assert shared.push(shared.alice).code == 0
    files = shared.files()
    assert mode(files["catalog.db"]) == 0o666 & ~umask
    for name, status in files.items():
        assert status.st_gid == TEAM, name
        assert mode(status) & 0o777 & umask == 0, name
        if stat.S_ISDIR(status.st_mode):
            assert mode(status) == 0o2777 & ~umask, name
    found = shared.bob.run("list")
    pushed = shared.push(shared.bob)
    if umask == 0o002:
        assert (found.code, pushed.code) == (0, 0)
    elif umask == 0o022:
        assert (found.code, pushed.code) == (0, 8)
        assert f"cannot write catalog.db: it belongs to user {ALICE} and is not group-writable" in pushed.err
        assert f"chmod g+w {shared.catalog}" in pushed.err
    else:
        assert (found.code, pushed.code) == (8, 8)
        assert f"cannot read catalog.db: it belongs to user {ALICE} and is not group-readable" in found.err
    assert set(shared.files()) & {"catalog.db-wal", "catalog.db-shm"} == set()
    assert shared.push(shared.alice).code == 0


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_in_a_shared_store_every_new_file_takes_the_mode_and_group_of_its_folder(shared: Shared, umask: int) -> None:
    assert shared.push(shared.alice).code == 0
    for person in (shared.bob.with_umask(umask), shared.root.with_umask(umask)):
        before = set(shared.files())
        assert shared.push(person).code == 0
        for name, found in shared.files().items():
            if name not in before:
                assert mode(found) == (0o2775 if stat.S_ISDIR(found.st_mode) else 0o444), name
                assert found.st_gid == TEAM, name
                assert found.st_uid == (ALICE if person.uid == 0 else BOB), name
    for person in (shared.alice, shared.bob, shared.reader):
        assert person.run("pull", "m@2", "out2").code == 0
        assert person.run("pull", "m@3", "out3").code == 0


def test_a_push_as_root_leaves_no_folder_that_the_owner_cannot_write(shared: Shared) -> None:
    """Every prefix folder is made by root, so each push of the owner falls into one of them."""
    assert shared.push(shared.root).code == 0
    script = (
        "import mreg, os\n"
        "with mreg.open_registry() as registry:\n"
        "    store = registry._session.artifacts()\n"
        "    for number in range(256):\n"
        "        store._backend.put_if_absent(f'blobs/sha256/{number:02x}/' + os.urandom(31).hex(), b'x')\n"
    )
    done = shared.root.run(script=script)
    assert done.code == 0, done
    assert len(list((shared.store / "blobs/sha256").iterdir())) == 256
    for person in (shared.alice, shared.bob):
        # The store was made by root with umask 022: it is the owner's.
        assert shared.push(person).code == (0 if person is shared.alice else 8)
    assert {found.st_uid for found in shared.files().values()} == {ALICE}


def test_a_read_only_member_reads_and_leaves_nothing(shared: Shared) -> None:
    assert shared.push(shared.alice).code == 0
    before = set(shared.files())
    for words in (["list"], ["show", "m"], ["pull", "m@1", "out"], ["verify"], ["doctor"], ["gc"], ["audit", "m"]):
        done = shared.reader.run(*words)
        assert done.code in (0, 2), (words, done)
        assert set(shared.files()) == before, words
    done = shared.push(shared.reader)
    assert done.code == 8
    assert set(shared.files()) == before


@pytest.mark.parametrize("rights", ["folder", "catalog", "nothing"])
def test_a_reader_that_cannot_write_sees_the_log_of_a_killed_writer(shared: Shared, rights: str) -> None:
    assert shared.push(shared.alice).code == 0
    kill_in_transaction(shared, shared.alice)
    reader = shared.bob
    if rights == "folder":
        for one in shared.folder.glob("catalog.db*"):
            one.chmod(0o644)
    elif rights == "catalog":
        shared.folder.chmod(0o2755)
    else:
        reader = shared.reader
    before = shared.files()
    for words in (["show", "m", "--json"], ["list"], ["verify"]):
        assert reader.run(*words).code == 0
    assert "from the log" in reader.run("show", "m", "--json").out
    after = shared.files()
    assert {name: (one.st_size, one.st_uid) for name, one in after.items()} == {
        name: (one.st_size, one.st_uid) for name, one in before.items()
    }


def test_the_owner_and_a_member_go_on_after_a_killed_writer(shared: Shared) -> None:
    assert shared.push(shared.alice).code == 0
    for killed, other in ((shared.alice, shared.bob), (shared.bob, shared.alice), (shared.root, shared.bob)):
        kill_in_transaction(shared, killed)
        assert shared.push(other).code == 0
        assert shared.push(killed).code == 0
        assert set(shared.files()) & {"catalog.db-wal", "catalog.db-shm"} == set()


def test_a_folder_without_setgid_works_for_its_group(shared: Shared) -> None:
    shared.folder.chmod(0o775)
    for person in (shared.alice, shared.bob, shared.root, shared.alice, shared.bob):
        assert shared.push(person).code == 0
    assert {found.st_gid for found in shared.files().values()} == {TEAM}
    kill_in_transaction(shared, shared.bob)  # SQLite alone gives the log the primary group of its maker
    assert shared.bob.run("list").code == 0
    assert shared.push(shared.alice).code == 0


def test_a_log_in_the_way_is_named_with_its_owner(shared: Shared) -> None:
    assert shared.push(shared.alice).code == 0
    kill_in_transaction(shared, shared.bob)
    for one in ("catalog.db-wal", "catalog.db-shm"):
        (shared.folder / one).chmod(0o644)
    done = shared.push(shared.alice)
    assert done.code == 8
    assert f"cannot write catalog.db: catalog.db-wal belongs to user {BOB} and is not group-writable" in done.err
    assert f"chmod g+w {shared.catalog}*" in done.err
    assert shared.alice.run("list").code == 0  # reading goes on
    shared.bob.run(script=f"import os; os.system('chmod g+w {shared.catalog}-*')")
    assert shared.push(shared.alice).code == 0


def test_a_prefix_folder_in_the_way_is_named_with_its_owner(shared: Shared) -> None:
    assert shared.push(shared.alice).code == 0
    folder = shared.store / "blobs/sha256"
    os.chown(folder, 0, TEAM)
    folder.chmod(0o755)
    done = shared.push(shared.bob)
    assert done.code == 8
    assert f"cannot write artifacts/blobs/sha256: it belongs to {user_text(0)} and is not group-writable" in done.err
    assert f"chmod g+rwx {folder}" in done.err
    os.chown(folder, 0, 0)
    done = shared.push(shared.bob)
    assert (
        f"artifacts/blobs/sha256: it belongs to {user_text(0)} and {group_text(0)}, and you are not in that group"
        in done.err
    )
    assert f"chgrp {TEAM} {folder} && chmod g+rwx {folder}" in done.err


def damage_catalog(shared: Shared) -> str:
    shared.catalog.chmod(0o644)
    return "catalog.db has mode 0644 and lacks g+w"


def damage_log(shared: Shared) -> str:
    kill_in_transaction(shared, shared.bob)
    (shared.folder / "catalog.db-wal").chmod(0o644)
    return "catalog.db-wal has mode 0644 and lacks g+w"


def damage_group(shared: Shared) -> str:
    os.chown(shared.catalog, ALICE, ALICE)
    return f"catalog.db has group {ALICE}, its folder has group {TEAM}"


def damage_setgid(shared: Shared) -> str:
    shared.folder.chmod(0o775)
    return "has no setgid bit"


def damage_store(shared: Shared) -> str:
    shared.store.chmod(0o2755)
    (shared.store / "tmp").chmod(0o2700)
    return "artifacts/tmp has mode 2700 and lacks g+rwx,o+rx"


def damage_whole_store(shared: Shared) -> str:
    for folder in (shared.store, *(one for one in shared.store.rglob("*") if one.is_dir())):
        folder.chmod(0o2755)
    return "artifacts has mode 2755 and lacks g+w; artifacts/"


def damage_group_of_store(shared: Shared) -> str:
    for one in (shared.store, *shared.store.rglob("*")):
        os.chown(one, ALICE, ALICE)
    shared.store.chmod(0o2775)
    return f"artifacts has group {ALICE}, its folder has group {TEAM}"


def damage_prefix(shared: Shared) -> str:
    folder = next((shared.store / "blobs/sha256").iterdir())
    os.chown(folder, 0, TEAM)
    folder.chmod(0o755)
    return f"artifacts/blobs/sha256/{folder.name} has mode 0755 and lacks g+w"


def damage_owner(shared: Shared) -> str:
    shared.store.chmod(0o2755)
    folder = shared.store / "blobs/sha256"
    os.chown(folder, 0, TEAM)
    folder.chmod(0o755)
    return f"artifacts/blobs/sha256 belongs to {user_text(0)}, the store to user {ALICE}"


def damage_blob(shared: Shared) -> str:
    blob = next(one for one in (shared.store / "blobs").rglob("*") if one.is_file())
    blob.chmod(0o400)
    return f"{blob.name} has mode 0400 and lacks g+r,o+r"


DAMAGES = [
    damage_catalog,
    damage_log,
    damage_group,
    damage_setgid,
    damage_store,
    damage_whole_store,
    damage_group_of_store,
    damage_prefix,
    damage_owner,
    damage_blob,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_doctor_and_profile_check_find_what_is_wrong_with_a_shared_folder(
    shared: Shared, damage: Callable[[Shared], str]
) -> None:
    assert shared.push(shared.alice).code == 0
    assert json.loads(shared.alice.run("doctor", "--json").out) is not None
    assert "lacks" not in shared.bob.run("doctor", "--json").out
    expected = damage(shared)
    others = (shared.bob, shared.root) if damage is not damage_log else ()  # they can write the log, and remove it
    for person in (shared.alice, *others):
        for words in (["doctor", "--json"], ["profile", "check", "--json"]):
            assert expected in person.run(*words).out, (person.name, words)


ACTIONS = {
    "push": ["push", "m.pkl", "--name", "m"],
    "list": ["list"],
    "show": ["show", "m"],
    "promote": ["promote", "m@1", "--to", "staging"],
    "tag": ["tag", "m@1", "by=x"],
    "pull": ["pull", "m@1", "out", "--force"],
    "gc": ["gc"],
    "remove": ["gc", "--remove", "--yes", "--grace", "0s"],
    "verify": ["verify"],
    "doctor": ["doctor"],
    "check": ["profile", "check"],
    "complete": [],
    "killed": [],
}
READ_ONLY = {"list", "show", "pull", "verify", "gc", "doctor", "complete"}
STEPS, ROUNDS = (14, 40) if FULL else (10, 2)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_nobody_is_locked_out_in_any_order(place: Path, seed: int) -> None:
    """The store is made with umask 002; afterwards everybody has any umask."""
    shared = Shared(place)
    chance = random.Random(seed)
    first = chance.choice([shared.alice, shared.bob])
    assert shared.push(first).code == 0
    for _ in range(STEPS):
        person = chance.choice([shared.alice, shared.bob, shared.root, shared.reader])
        person = person.with_umask(chance.choice([0o002, 0o022, 0o077]))
        action = chance.choice(list(ACTIONS))
        shared.count += 1
        person.write("m.pkl", f"bytes {shared.count}")
        if action == "killed":
            if person.uid != READER:
                kill_in_transaction(shared, person)
            continue
        before = set(shared.files())
        if action == "complete":
            complete = {"_MREG_COMPLETE": "complete_bash", "COMP_WORDS": "mreg show ", "COMP_CWORD": "2"}
            done = person.run(variables=complete)
            assert done.code == 0, (person, done)
        else:
            done = person.run(*ACTIONS[action])
            allowed = {0} if person.uid != READER or action in READ_ONLY else {8}
            if (action, person.uid) == ("remove", READER):
                allowed = {0, 8}  # 0: there is nothing to remove
            assert done.code in allowed, (person, action, done)
        if person.uid == READER:
            assert set(shared.files()) == before, (action, done)
    for person in (shared.alice, shared.bob):
        assert shared.push(person).code == 0
    for name, found in shared.files().items():
        assert found.st_gid == TEAM, name
        assert found.st_uid in (ALICE, BOB), name


def test_pushes_of_two_members_at_the_same_time_all_arrive(shared: Shared) -> None:
    assert shared.push(shared.alice).code == 0
    people = list(itertools.islice(itertools.cycle([shared.alice, shared.bob]), 6))
    for number, person in enumerate(people):
        person.write(f"m{number}.pkl", f"at once {number}")
    children = [person.start("push", f"m{number}.pkl", "--name", "m") for number, person in enumerate(people)] + [
        shared.reader.start("list") for _ in range(4)
    ]
    for child in children:
        with child:
            _, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
    assert shared.versions(shared.reader) >= 7
    assert set(shared.files()) & {"catalog.db-wal", "catalog.db-shm"} == set()


def blocks_of_the_guide(shared: Shared) -> list[list[str]]:
    """The commands of docs/how-to/shared-folder.md, block by block, for the folder and group of the test."""
    text = (ROOT / "docs/how-to/shared-folder.md").read_text()
    text = (
        text.replace("/srv/models", str(shared.folder))
        .replace("-g ml ", f"-g {TEAM} ")
        .replace("-R ml ", f"-R {TEAM} ")
    )
    return [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


def shell(lines: list[str]) -> None:
    subprocess.run(["sh", "-ec", "\n".join(lines)], check=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_the_commands_of_the_guide_set_up_and_repair_a_shared_folder(shared: Shared, umask: int) -> None:
    _group, make_folder, make_registry, repair = blocks_of_the_guide(shared)
    shared.folder.rmdir()
    shell(make_folder)
    assert (mode(shared.folder.stat()), shared.folder.stat().st_gid) == (0o2775, TEAM)
    for person in (shared.alice.with_umask(umask), shared.bob):
        person.write("model.pkl", person.name)
        for line in make_registry:
            if line.startswith("mreg ") and (umask == 0o002 or person.uid == ALICE):
                done = person.run(*shlex.split(line)[1:], variables={"MREG_CATALOG": ""})
                assert done.code == 0, (line, done)
    if umask == 0o077:
        assert shared.push(shared.bob).code == 8
        shell(repair)
    assert shared.push(shared.bob).code == 0
    assert shared.push(shared.alice).code == 0
    assert "lacks" not in shared.bob.run("doctor", "--json").out
