"""Real clients of the Hugging Face Hub download from `mreg serve`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mreg.domain.commit import commit_id
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role
from mreg.server.settings import ServerSettings
from tests.environments import hub_client, transformers
from tests.proxy import Proxy
from tests.server.conftest import Served

OLDEST = "0.8.1"
"""The first release with its cache of today, `HF_ENDPOINT` and exceptions of its own."""

EVERY_CLIENT = pytest.mark.parametrize("release", [OLDEST, ""], ids=["oldest", "newest"])

BEGINNING = """
import json, os, sys
from huggingface_hub import hf_hub_download, snapshot_download
options = {"cache_dir": "cache"}
"""


def run(python: Path, script: str, endpoint: str, **variables: str) -> Any:
    """Run a script that prints one JSON document last, in a process of a client's environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"DO_NOT_TRACK": "1", **variables}
    done = subprocess.run(
        [python, "-c", BEGINNING + script], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def push(registry: LocalRegistry, text: str, name: str = "team/churn") -> str:
    """Push a folder as a new version; its commit id."""
    folder = Path("net")
    (folder / "sub dir").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"text": text}))
    (folder / "sub dir" / "wéights.bin").write_bytes(text.encode() * 1000)
    return commit_id(registry.push(folder, name=name))


@pytest.fixture
def proxy(in_process: Callable[..., Served], registry: LocalRegistry) -> Any:
    """A line to a server, that notes requests and can break."""
    found = Proxy(in_process().port)
    yield found
    found.stop()


SNAPSHOT = """
path = snapshot_download("team/churn", revision="production", **options)
found = {os.path.relpath(os.path.join(at, name), path): open(os.path.join(at, name), encoding="utf-8").read()
         for at, _, names in os.walk(path) for name in names}
print(json.dumps([os.path.basename(path), found]))
"""


@EVERY_CLIENT
def test_a_stage_is_downloaded_once_and_again_after_a_promotion(
    proxy: Proxy, registry: LocalRegistry, release: str
) -> None:
    python = hub_client(release)
    first, second = push(registry, "one"), push(registry, "two")
    registry.promote("team/churn@1", to="production", override="")
    commit, found = run(python, SNAPSHOT, proxy.endpoint)
    assert commit == first
    assert found == {"config.json": '{"text": "one"}', os.path.join("sub dir", "wéights.bin"): "one" * 1000}
    proxy.requests.clear()
    assert run(python, SNAPSHOT, proxy.endpoint) == [first, found]
    assert proxy.requests and not [line for line in proxy.requests if line.startswith("GET") and "/resolve/" in line]
    registry.promote("team/churn@2", to="production")
    commit, found = run(python, SNAPSHOT, proxy.endpoint)
    assert (commit, found["config.json"]) == (second, '{"text": "two"}')
    proxy.stop()
    assert run(python, SNAPSHOT.replace("**options", "local_files_only=True, **options"), proxy.endpoint)[0] == second


FILES = """
revisions = [{}, *({"revision": text} for text in ("1", "champion", "v2", "latest", os.environ["COMMIT"]))]
paths = [hf_hub_download("solo", "model.pkl", **one, **options) for one in revisions]
print(json.dumps([open(path).read() for path in paths]))
"""


@EVERY_CLIENT
def test_a_single_file_is_downloaded_by_version_alias_and_without_a_revision(
    proxy: Proxy, registry: LocalRegistry, release: str
) -> None:
    Path("model.pkl").write_bytes(b"one")
    registry.push("model.pkl", name="solo", aliases=["champion"])
    Path("model.pkl").write_bytes(b"two")
    version = registry.push("model.pkl", name="solo")
    found = run(hub_client(release), FILES, proxy.endpoint, COMMIT=commit_id(version))
    assert found == ["two", "one", "one", "two", "two", "two"]


FAILURES = """
def failure(function, *words, **more):
    try:
        function(*words, **{**options, **more})
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__], str(error)
token = os.environ["TOKEN_OPTION"]
secret = os.environ["SECRET"]
good = {token: secret}
hf_hub_download("team/churn", "config.json", **good, **options)
print(json.dumps({
    "file": failure(hf_hub_download, "team/churn", "none.json", **good),
    "revision": failure(hf_hub_download, "team/churn", "config.json", revision="staging", **good),
    "revision of a snapshot": failure(snapshot_download, "team/churn", revision="9", **good),
    "model": failure(snapshot_download, "team/none", **good),
    "no token": failure(snapshot_download, "team/churn", cache_dir="empty", **{token: False}),
    "wrong token": failure(snapshot_download, "team/churn", cache_dir="empty", **{token: "hf_wrong"}),
    "wrong token for a file": failure(
        hf_hub_download, "team/churn", "config.json", cache_dir="empty", **{token: "hf_wrong"}
    ),
}))
"""


@EVERY_CLIENT
def test_failures_raise_the_exceptions_of_the_client(
    in_process: Callable[..., Served], registry: LocalRegistry, release: str
) -> None:
    push(registry, "one")
    made = new_token("ci", Role.READER)
    server = in_process(ServerSettings(tokens=(made.token,)))
    option = "use_auth_token" if release else "token"
    found = run(hub_client(release), FAILURES, server.url, SECRET=made.secret, TOKEN_OPTION=option)
    wanted = {
        "file": ("EntryNotFoundError", "team/churn@1 has no file 'none.json'"),
        "revision": ("RevisionNotFoundError", "no version of team/churn is in Staging"),
        "revision of a snapshot": ("RevisionNotFoundError", "team/churn has no version 9"),
        "model": ("RepositoryNotFoundError", "model 'team/none' not found"),
        "no token": ("RepositoryNotFoundError", "set HF_TOKEN to a token of this server"),
        "wrong token": ("HTTPError", "Invalid credentials in Authorization header"),
        "wrong token for a file": ("HTTPError", "Invalid credentials in Authorization header"),
    }
    assert found.keys() == wanted.keys()
    for name, (kind, message) in wanted.items():
        assert found[name] is not None, name
        kinds, text = found[name]
        assert kind in kinds, (name, kinds, text)
        if not release:  # the oldest shows no message of the server
            assert message in text, (name, text)
        if "wrong" in name and not release:
            assert "RepositoryNotFoundError" not in kinds


def test_a_download_goes_on_where_the_network_broke(proxy: Proxy, registry: LocalRegistry) -> None:
    data = os.urandom(24 << 20)  # the client writes pieces of 10 MB
    Path("model.bin").write_bytes(data)
    registry.push("model.bin", name="solo")
    proxy.cut_down_after, proxy.cut_with_end = 22 << 20, True
    script = 'print(json.dumps(hf_hub_download("solo", "model.bin", **options)))'
    assert Path(run(hub_client(""), script, proxy.endpoint)).read_bytes() == data
    assert len([line for line in proxy.requests if line.startswith("GET")]) == 2
    assert b"range: bytes=" in proxy.head.lower()
    assert proxy.down < 32 << 20


def test_an_old_client_goes_on_where_an_earlier_process_ended(proxy: Proxy, registry: LocalRegistry) -> None:
    data = os.urandom(1 << 20)
    Path("model.bin").write_bytes(data)
    registry.push("model.bin", name="solo")
    blobs = Path("cache/models--solo/blobs")
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(data).hexdigest()}.incomplete").write_bytes(data[: 900 << 10])
    script = 'print(json.dumps(hf_hub_download("solo", "model.bin", resume_download=True, **options)))'
    assert Path(run(hub_client(OLDEST), script, proxy.endpoint)).read_bytes() == data
    assert proxy.down < 200 << 10


DAMAGED = """
try:
    print(json.dumps(hf_hub_download("solo", "model.bin", **options)))
except Exception as error:
    print(json.dumps(str(error)))
"""


@EVERY_CLIENT
def test_damaged_bytes_are_never_downloaded_as_a_file(proxy: Proxy, registry: LocalRegistry, release: str) -> None:
    data = os.urandom(24 << 20)
    Path("model.bin").write_bytes(data)
    version = registry.push("model.bin", name="solo")
    blob = Path(version.artifact.path.removeprefix("file://"))
    blob.chmod(0o644)
    blob.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    failure = run(hub_client(release), DAMAGED, proxy.endpoint)
    assert "its bytes do not match its SHA-256" in failure or release, failure
    assert not [path for path in Path("cache").rglob("*") if path.is_file() and path.stat().st_size >= len(data)]
    blob.write_bytes(data)
    assert Path(run(hub_client(release), DAMAGED, proxy.endpoint)).read_bytes() == data


def hf(endpoint: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the newest client."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    return subprocess.run(
        [hub_client("").with_name("hf"), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "HF_ENDPOINT": endpoint, "NO_COLOR": "1", **variables},
        timeout=120,
    )


def test_the_command_line_downloads_a_stage(in_process: Callable[..., Served], registry: LocalRegistry) -> None:
    commit = push(registry, "one")
    push(registry, "two")
    registry.promote("team/churn@1", to="production")
    made = new_token("ci", Role.READER)
    url = in_process(ServerSettings(tokens=(made.token,))).url
    done = hf(url, "download", "team/churn", "--revision", "production", "--local-dir", "here", HF_TOKEN=made.secret)
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("here/config.json").read_text()) == {"text": "one"}
    assert Path("here/sub dir/wéights.bin").read_bytes() == b"one" * 1000
    done = hf(url, "models", "info", "team/churn", "--revision", "1", HF_TOKEN=made.secret)
    assert json.loads(done.stdout)["sha"] == commit
    assert "ci" in hf(url, "auth", "whoami", HF_TOKEN=made.secret).stdout
    done = hf(url, "download", "team/churn", "--revision", "9", HF_TOKEN=made.secret)
    assert done.returncode == 1
    assert "Revision not found in model 'team/churn'" in done.stderr


def make_tiny_model(folder: Path) -> None:
    """Write the files that transformers saves for a BERT of one layer, a tokenizer of four words, and weights."""
    import numpy
    from safetensors.numpy import save_file

    sizes = {
        "vocab_size": 4,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
    }
    words = {"type": "WordLevel", "vocab": {"[UNK]": 0, "hello": 1, "small": 2, "model": 3}, "unk_token": "[UNK]"}
    documents: dict[str, object] = {
        "config.json": {"model_type": "bert", **sizes},
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "Whitespace"},
            "model": words,
        },
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"},
    }
    folder.mkdir()
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    save_file({"weight": numpy.arange(8, dtype="float32")}, folder / "model.safetensors")


LOAD = """
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import cached_file
from safetensors.numpy import load_file
model = {"pretrained_model_name_or_path": "nlp/tiny", "revision": "production"}
config, tokenizer = AutoConfig.from_pretrained(**model), AutoTokenizer.from_pretrained(**model)
# The function by which from_pretrained of a model finds its weights; the model itself needs torch.
weights = load_file(cached_file("nlp/tiny", "model.safetensors", revision="production"))
print(json.dumps([config.hidden_size, tokenizer("hello small world")["input_ids"], weights["weight"].tolist()]))
"""


def test_transformers_loads_a_tiny_model(proxy: Proxy, registry: LocalRegistry) -> None:
    python = transformers()
    make_tiny_model(Path("tiny"))
    registry.push("tiny", name="nlp/tiny")
    registry.promote("nlp/tiny@1", to="production")
    loaded = [8, [1, 2, 0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]
    assert run(python, LOAD, proxy.endpoint) == loaded
    proxy.stop()
    assert run(python, LOAD, proxy.endpoint, HF_HUB_OFFLINE="1") == loaded
