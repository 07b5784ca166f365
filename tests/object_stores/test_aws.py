"""AWS's configuration is read as botocore reads it, without botocore."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from botocore.session import Session

from mreg.stores.aws import host_of_aws, is_virtual, read_config
from mreg.stores.settings import StoreSettings

STATIC = "aws_access_key_id = K\naws_secret_access_key = S\n"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


CASES: list[tuple[str, str, dict[str, str], str, tuple[str, str, str] | None, bool]] = [
    ("", "", {}, "", None, False),
    ("", "", {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "F"}, "", ("E", "F", ""), False),
    ("", "", {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "F", "AWS_SESSION_TOKEN": "T"}, "", ("E", "F", "T"), False),
    ("", f"[default]\n{STATIC}", {}, "", ("K", "S", ""), False),
    ("", f"[default]\n{STATIC}aws_session_token = T\n", {"AWS_SESSION_TOKEN": "other"}, "", ("K", "S", "T"), False),
    (f"[profile p]\n{STATIC}", "", {"AWS_PROFILE": "p"}, "", ("K", "S", ""), False),
    (f"[profile p]\n{STATIC}", "", {}, "p", ("K", "S", ""), False),
    ("", f"[p]\n{STATIC}", {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "F"}, "p", ("K", "S", ""), False),
    ("", f"[p]\n{STATIC}", {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "F", "AWS_PROFILE": "p"}, "", ("E", "F", ""), False),
    ("[default]\ncredential_process = cat x\n", f"[default]\n{STATIC}", {}, "", ("K", "S", ""), False),
    (f"[default]\ncredential_process = cat x\n{STATIC}", "", {}, "", None, True),
    ("[default]\nrole_arn = a\nsource_profile = q\n", f"[default]\n{STATIC}", {}, "", None, True),
    ("[default]\nsso_session = s\n", "", {}, "", None, True),
    ("", f"[default]\n{STATIC}", {"AWS_WEB_IDENTITY_TOKEN_FILE": "f", "AWS_ROLE_ARN": "a"}, "", None, True),
    ("", "", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, "", None, True),
    ("", "", {}, "missing", None, True),
    ("", "[default]\naws_access_key_id = K\n", {}, "", None, True),
    ("", "", {"AWS_ACCESS_KEY_ID": "E"}, "", None, True),
]  # fmt: skip


@pytest.mark.parametrize(("config", "shared", "environ", "profile", "keys", "chained"), CASES, ids=range(len(CASES)))
def test_credentials_are_those_of_the_chain(
    config: str,
    shared: str,
    environ: dict[str, str],
    profile: str,
    keys: tuple[str, str, str] | None,
    chained: bool,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (files / "config").write_text(config)
    (files / "credentials").write_text(shared)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = read_config(StoreSettings(aws_profile=profile), os.environ)
    assert (found.keys, found.chained) == (keys, chained)
    if keys is not None:
        frozen = Session(profile=profile or None).get_credentials().get_frozen_credentials()
        assert (frozen.access_key, frozen.secret_key, frozen.token or "") == keys


@pytest.mark.parametrize(
    ("config", "environ", "endpoint"),
    [
        ("", {"AWS_ENDPOINT_URL": "http://a"}, "http://a"),
        ("", {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}, "http://b"),
        ("", {"AWS_ENDPOINT_URL_S3": "http://b", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, ""),
        ("[default]\nendpoint_url = http://c\n", {}, "http://c"),
        ("[default]\nservices = s\n[services s]\ns3 =\n  endpoint_url = http://d\n", {}, "http://d"),
    ],
)
def test_the_endpoint_is_that_of_the_configuration(
    config: str, environ: dict[str, str], endpoint: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "config").write_text(config)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert read_config(StoreSettings(), os.environ).endpoint_url == endpoint
    client = Session().create_client("s3", region_name="us-east-1")
    assert (client.meta.endpoint_url if endpoint else "") == endpoint


@pytest.mark.parametrize(
    "text", ["[default", "\xff\xfe", "x" * (2 << 20), "[default]\nregion\n", "[a]\n[a]\nb = 1\nb = 2\n", ""]
)
def test_a_file_that_cannot_be_parsed_counts_as_empty(text: str, files: Path) -> None:
    (files / "config").write_text(text, encoding="latin-1")
    found = read_config(StoreSettings(), {"AWS_CONFIG_FILE": str(files / "config")})
    assert (found.region, found.keys) == ("us-east-1", None)


@pytest.mark.parametrize("region", ["us-east-2", "eu-central-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("variables", [{}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}])
def test_the_address_of_s3_is_botocores(
    region: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = Session().create_client("s3", region_name=region)
    assert f"https://{host_of_aws(region, variables)}" == client.meta.endpoint_url


@pytest.mark.parametrize(
    ("style", "bucket", "endpoint", "named", "virtual"),
    [
        ("", "models", "https://s3.eu-west-1.amazonaws.com", False, True),
        ("", "models.of.mine", "https://s3.eu-west-1.amazonaws.com", False, False),
        ("", "models", "https://minio.example:9000", True, False),
        ("auto", "models", "https://minio.example:9000", True, True),
        ("auto", "models", "http://127.0.0.1:9000", True, False),
        ("virtual", "models", "http://127.0.0.1:9000", True, True),
        ("path", "models", "https://s3.eu-west-1.amazonaws.com", False, False),
    ],
)
def test_the_bucket_is_in_the_path_or_in_the_host_name(
    style: str, bucket: str, endpoint: str, named: bool, virtual: bool
) -> None:
    assert is_virtual(style, bucket, endpoint, named=named) is virtual
