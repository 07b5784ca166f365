"""Folders that are pushed: what is left out, links that are followed, empty folders, and the dry run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.model import ArtifactKind
from mreg.errors import BadInput, MregError, NotFound
from mreg.registry.local import LocalRegistry
from mreg.registry.secret_names import looks_secret
from mreg.results.files import PlannedFile

LEFT_OUT = (".git/config", "sub/.git", "__pycache__/a.pyc", ".DS_Store", ".ipynb_checkpoints/a", ".venv/bin/python",
            "node_modules/x/y.js", "mreg.yaml", "mreg/config.yaml")  # fmt: skip


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def planned(registry: mreg.Registry, path: Path, **options: Any) -> list[str]:
    return [file.path for file in registry.plan_push(path, name="m", **options).files]


@pytest.fixture
def notes(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    object.__setattr__(registry._session, "notice", found.append)
    return found


def test_a_dry_run_lists_what_a_push_stores_and_registers_nothing(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "a.bin", "sub/b.bin", "__pycache__/c.pyc")
    (root / "logs").mkdir()
    plan = registry.plan_push(root, name="m")
    assert registry.models() == ()
    assert (str(plan.model), plan.kind, plan.size_bytes) == ("m", ArtifactKind.FOLDER, 14)
    assert plan.files == (PlannedFile(path="a.bin", size_bytes=5), PlannedFile(path="sub/b.bin", size_bytes=9))
    assert (plan.folders, dict(plan.left_out)) == (("logs",), {"__pycache__": 1})
    version = registry.push(root, name="m")
    assert [file.path for file in registry.files(version.reference)] == ["a.bin", "sub/b.bin"]


def test_a_dry_run_of_a_file_lists_the_file(registry: LocalRegistry, tmp_path: Path) -> None:
    plan = registry.plan_push(write(tmp_path, "m.pkl") / "m.pkl", name="m")
    assert (plan.kind, plan.files) == (ArtifactKind.FILE, (PlannedFile(path="m.pkl", size_bytes=5),))


def test_files_that_are_no_part_of_a_model_are_left_out_with_one_note(
    registry: LocalRegistry, tmp_path: Path, notes: list[str]
) -> None:
    root = write(tmp_path / "f", "w.bin", *LEFT_OUT, "src/__pycache__/b.pyc")
    assert planned(registry, root) == ["w.bin"]
    assert notes == [
        "left out of the version: **/mreg/config.yaml, .DS_Store, .git (2), .ipynb_checkpoints, .venv, "
        "__pycache__ (2), mreg.yaml, node_modules"
    ]


def test_what_the_hugging_face_client_notes_in_a_folder_is_left_out(registry: LocalRegistry, tmp_path: Path) -> None:
    plain = registry.push(write(tmp_path / "plain", "config.json"), name="m")
    noted = (".cache/huggingface/.gitignore", ".cache/huggingface/download/config.json.lock")
    folder = write(tmp_path / "downloaded", "config.json", *noted)
    assert registry.plan_push(folder, name="m").folders == ()
    assert registry.push(folder, name="m").artifact.digest == plain.artifact.digest
    assert planned(registry, write(folder, ".cache/other")) == [".cache/other", "config.json"]


def test_the_registry_in_the_folder_is_left_out(registry: LocalRegistry, tmp_path: Path, notes: list[str]) -> None:
    profile = registry.profile
    root = Path(os.path.commonpath([profile.catalog, profile.artifacts]))
    write(root, "w.bin")
    registry.push(write(tmp_path / "g", "x.bin"), name="g")  # the catalog and the store exist
    notes.clear()
    names = planned(registry, root, include=["w.bin", "*.db", "blobs"], exclude=["!*.db"])
    assert "w.bin" in names
    assert not [name for name in names if ".db" in name or "blobs/" in name]
    assert "mreg's catalog" in notes[0] and "mreg's artifact store" in notes[0]


def test_another_registry_is_found_by_its_marks(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    (root / "other").mkdir()
    with mreg.open_registry(catalog=str(root / "other" / "mine.db"), artifacts=str(root / "other" / "store")) as other:
        other.push(write(tmp_path / "g", "x.bin"), name="g")
        names = planned(registry, root)
    assert names == ["w.bin"]


def test_exclude_comes_after_the_file_of_patterns_and_that_after_the_defaults(
    registry: LocalRegistry, tmp_path: Path
) -> None:
    root = write(tmp_path / "f", "a.log", "keep.log", "w.bin", ".venv/x", "sub/a.log")
    (root / ".mregignore").write_text("*.log\n!keep.log\n!.venv\n")
    assert planned(registry, root) == [".venv/x", "keep.log", "w.bin"]
    assert planned(registry, root, exclude=["keep.log", "!sub/a.log", ".venv"]) == ["sub/a.log", "w.bin"]
    assert planned(registry, root, include=["*.log", "*.bin"], exclude=["w.*"]) == ["keep.log"]


def test_a_folder_without_a_file_that_is_left_is_refused(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "a.log", ".venv/x")
    (root / ".mregignore").write_text("*.log\n")
    with pytest.raises(BadInput) as caught:
        registry.push(root, name="m")
    assert caught.value.message == (
        f"cannot push '{root}': all its files are left out: .mregignore, .venv, patterns of .mregignore"
    )
    assert registry.models() == ()


def test_patterns_for_a_file_are_refused(registry: LocalRegistry, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="patterns select files of a folder"):
        registry.push(write(tmp_path, "m.pkl") / "m.pkl", name="m", exclude=["*.log"])


# Secrets


@pytest.mark.parametrize(
    "path",
    [".env", ".env.production", "prod.env", "id_rsa", "id_ed25519", "x/server.pem", "tls.KEY", "credentials",
     "credentials.json", ".git-credentials", ".netrc", ".pypirc", "secrets.yaml", "client_secret_1.json", "/root/.ssh/x",
     "service-account.json", "a.p12", "kubeconfig", "terraform.tfstate"],
)  # fmt: skip
def test_a_name_of_a_secret_is_known(path: str) -> None:
    assert looks_secret(path)


@pytest.mark.parametrize(
    "path", ["environment.yml", "id_rsa.pub", ".env.example", "keys.json", "tokenizer.json", "model.pem.md", "key"]
)
def test_other_names_do_not_look_like_a_secret(path: str) -> None:
    assert not looks_secret(path)


def test_a_file_that_looks_like_a_secret_is_pushed_with_a_warning(
    registry: LocalRegistry, tmp_path: Path, notes: list[str]
) -> None:
    root = write(tmp_path / "f", "w.bin", ".env", "sub/id_rsa")
    assert registry.push(root, name="m").artifact.file_count == 3
    assert notes == ["warning: '.env', 'sub/id_rsa' look like secrets and are part of the version"]
    notes.clear()
    registry.push(root / ".env", name="m")
    assert notes == [f"warning: '{root}/.env' looks like a secret and is part of the version"]


def test_the_target_of_a_link_can_look_like_a_secret(registry: LocalRegistry, tmp_path: Path, notes: list[str]) -> None:
    root, outside = write(tmp_path / "f", "w.bin"), write(tmp_path / ".ssh", "config")
    (root / "settings").symlink_to(outside / "config")
    registry.push(root, name="m", follow_links=True)
    assert notes == ["warning: 'settings' looks like a secret and is part of the version"]


# Links


def hub(root: Path) -> Path:
    """A model in the cache of Hugging Face, as huggingface_hub lays it out."""
    model = root / "models--google--bert" / "snapshots" / ("c" * 8 + "1" * 32)
    blobs = model.parent.parent / "blobs"
    write(blobs, "aaaa", "bbbb")
    model.joinpath("onnx").mkdir(parents=True)
    (model / "config.json").symlink_to("../../blobs/aaaa")
    (model / "model.safetensors").symlink_to("../../blobs/bbbb")
    (model / "onnx" / "config.json").symlink_to("../../../blobs/aaaa")
    return model


def test_a_snapshot_of_hugging_face_is_pushed_and_pulled(registry: LocalRegistry, tmp_path: Path) -> None:
    version = registry.push(hub(tmp_path), name="bert", follow_links=True)
    assert version.artifact.file_count == 3
    registry.pull("bert@1", tmp_path / "back")
    assert (tmp_path / "back/onnx/config.json").read_text() == "aaaa"
    assert not (tmp_path / "back/config.json").is_symlink()
    files = registry.files("bert@1")
    assert len({file.digest for file in files}) == 2
    plain = write(tmp_path / "plain")
    for name, text in (("config.json", "aaaa"), ("model.safetensors", "bbbb"), ("onnx/config.json", "aaaa")):
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_text(text)
    assert registry.push(plain, name="bert").artifact.digest == version.artifact.digest


def test_links_are_refused_without_the_flag_that_the_hint_names(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "epoch=3.ckpt")
    (root / "last.ckpt").symlink_to("epoch=3.ckpt")
    for call in (registry.push, registry.plan_push):
        with pytest.raises(BadInput) as caught:
            call(root, name="m")
        assert caught.value.message == f"cannot push '{root}': 'last.ckpt' is a link to 'epoch=3.ckpt'"
        assert caught.value.hint == "push what links point to: --follow-links; or leave it out: --exclude /last.ckpt"
    assert planned(registry, root, exclude=["/last.ckpt"]) == ["epoch=3.ckpt"]
    assert planned(registry, root, follow_links=True) == ["epoch=3.ckpt", "last.ckpt"]


def test_a_large_file_with_several_names_is_read_once(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    (root / "epoch=3.ckpt").write_bytes(b"x" * (5 << 20))
    (root / "last.ckpt").symlink_to("epoch=3.ckpt")
    os.link(root / "epoch=3.ckpt", root / "hard.ckpt")
    seen: list[tuple[int, int]] = []
    version = registry.push(root, name="m", follow_links=True, progress=lambda done, total: seen.append((done, total)))
    assert version.artifact.size_bytes == 3 * (5 << 20) + 5
    assert seen[-1] == (version.artifact.size_bytes, version.artifact.size_bytes)
    assert len({file.digest for file in registry.files("m@1")}) == 2


def test_a_link_to_a_folder_is_a_folder(registry: LocalRegistry, tmp_path: Path) -> None:
    root, outside = write(tmp_path / "f", "w.bin"), write(tmp_path / "out", "x/a.bin")
    (outside / "x" / "__pycache__").mkdir()
    (root / "linked").symlink_to(outside)
    assert planned(registry, root, follow_links=True) == ["linked/x/a.bin", "w.bin"]


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (".", BadInput, "'sub/x' is a link to '.', a folder that contains it"),
        ("..", BadInput, "'sub/x' is a link to '..', a folder that contains it"),
        ("x", BadInput, "'sub/x' is a link to 'x', which leads back to it"),
        ("missing", NotFound, "'sub/x' is a broken link to 'missing'"),
        ("/dev/zero", BadInput, "cannot push 'sub/x': expected a file or folder, got a device"),
        ("../../pipe", BadInput, "cannot push 'sub/x': expected a file or folder, got a named pipe"),
    ],
)
def test_a_link_that_has_no_end_or_no_file_is_refused(
    registry: LocalRegistry, tmp_path: Path, target: str, kind: type[MregError], message: str
) -> None:
    root = write(tmp_path / "f", "w.bin", "sub/y")
    os.mkfifo(tmp_path / "pipe")
    (root / "sub" / "x").symlink_to(target)
    with pytest.raises(kind) as caught:
        registry.push(root, name="m", follow_links=True)
    assert caught.value.message.endswith(message)
    assert registry.models() == ()


def test_links_that_multiply_a_folder_end_at_a_limit(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    for level in range(30):
        (tmp_path / f"d{level}").mkdir()
        for name in "ab":
            (tmp_path / f"d{level}" / name).symlink_to(tmp_path / f"d{level + 1}")
    (tmp_path / "d30").mkdir()
    (root / "start").symlink_to(tmp_path / "d0")
    with pytest.raises(BadInput, match="links lead to this folder on more than 100 paths"):
        registry.push(root, name="m", follow_links=True)


# Empty folders


def test_empty_folders_come_back_on_every_way(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    (root / "logs" / "old").mkdir(parents=True)
    version = registry.push(root, name="m")
    assert registry.pull("m@1", tmp_path / "back").unchanged is False
    assert (tmp_path / "back" / "logs" / "old").is_dir()
    assert registry.pull("m@1", tmp_path / "back").unchanged is True
    assert registry.push(tmp_path / "back", name="m").artifact.digest == version.artifact.digest
    (tmp_path / "back" / "logs" / "old").rmdir()
    registry.pull("m@1", tmp_path / "back", force=True)
    assert (tmp_path / "back" / "logs" / "old").is_dir()
    assert registry.verify().problems == ()
    registry.gc(remove=True)
    exported = registry.export("m@1", tmp_path / "m.mreg")
    with mreg.open_registry(catalog=str(tmp_path / "c.db"), artifacts=str(tmp_path / "store")) as other:
        other.import_bundle(exported.destination)
        assert other.verify().problems == ()
        other.pull("m@1", tmp_path / "again")
    assert (tmp_path / "again" / "logs" / "old").is_dir()


def test_a_pull_merges_empty_folders_into_a_folder_with_other_files(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    (root / "logs").mkdir()
    registry.push(root, name="m")
    write(tmp_path / "there", "mine.txt", "logs/mine.log")
    registry.pull("m@1", tmp_path / "there", force=True)
    assert (tmp_path / "there" / "logs" / "mine.log").exists()
    write(tmp_path / "taken", "logs")
    with pytest.raises(MregError, match="'logs': expected a folder, got a file"):
        registry.pull("m@1", tmp_path / "taken", force=True)


def test_an_empty_folder_is_a_difference(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    registry.push(root, name="m")
    (root / "logs").mkdir()
    registry.push(root, name="m")
    changes = [change for change in registry.compare("m@1", "m@2").changes if change.group == "files"]
    assert [(change.name, change.first, change.second) for change in changes] == [("logs/", None, "empty folder")]


def test_an_empty_folder_can_be_left_out(registry: LocalRegistry, tmp_path: Path) -> None:
    root = write(tmp_path / "f", "w.bin")
    (root / "logs").mkdir()
    assert registry.plan_push(root, name="m", exclude=["logs/"]).folders == ()
    assert registry.plan_push(root, name="m", include=["w.bin"]).folders == ()
    assert registry.plan_push(root, name="m", include=["w.bin", "logs/"]).folders == ("logs",)
