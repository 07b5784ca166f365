"""The servers and clients that a page needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.azure import Azurite
from tests.environments import hub_client
from tests.servers import ADMIN, PostgresqlServer, RedisServer, Store, free_ports

BUCKET = "ml-models"


def replacements(
    needs: Iterable[str], server: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, str]]:
    """Start the servers and set the variables by which they are reached; return the addresses that differ from the page.

    Args:
        needs: Names from the page.
        server: Returns a server by the name of its fixture.
    """
    port, other = free_ports(2)
    replaced = [("mreg serve", f"mreg serve --port {port}"), ("127.0.0.1:8000", f"127.0.0.1:{port}")]
    replaced += [('"127.0.0.1", 8080', f'"127.0.0.1", {other}'), ("127.0.0.1:8080", f"127.0.0.1:{other}")]
    for need in needs:
        if need == "bucket":
            replaced.append(("http://127.0.0.1:8333", _bucket(server("s3_server"), monkeypatch)))
        elif need == "weed":
            s3, master, volume, filer = free_ports(4)
            ports = f"-s3.port={s3} -master.port={master} -volume.port={volume} -filer.port={filer}"
            replaced.append((" -s3 ", f" -s3 {ports} -s3.port.iceberg=0 -s3.port.lance=0 "))
            replaced.append(("| weed shell", f"| weed shell -master=127.0.0.1:{master}"))
            replaced.append(("http://127.0.0.1:8333", f"http://127.0.0.1:{s3}"))
        elif need == "azure":
            replaced.append(("https://mlteam.blob.core.windows.net", _azure(server("azurite"), monkeypatch)))
        elif need == "postgresql":
            database: PostgresqlServer = server("postgresql")
            url = database.new_catalog()
            replaced.append(("postgresql://mreg@db.example/mreg", url))
            replaced.append(("postgresql://mreg@db.example/mreg", url.partition("?")[0]))  # as messages name it
        elif need == "redis":
            redis: RedisServer = server("redis_server")
            replaced.append(("redis://cache.example:6379/0", redis.new_catalog()))
        elif need == "huggingface":
            monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{hub_client('').parent}")
            monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        else:
            raise ValueError(f"no such server: {need}")
    return replaced


def _azure(store: Azurite, monkeypatch: pytest.MonkeyPatch) -> str:
    store.make_container(BUCKET)
    for key in store.keys("", BUCKET):
        store.delete(key, BUCKET)
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    return store.endpoint


def _bucket(store: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    client = store.client()
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN[1])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MREG_ENDPOINT_URL", store.endpoint)
    return store.endpoint
