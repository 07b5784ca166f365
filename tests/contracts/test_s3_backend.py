from __future__ import annotations

import pytest

from mreg.artifacts.backend import BlobBackend
from mreg.artifacts.s3 import S3Backend
from mreg.stores.bucket import Bucket
from mreg.stores.integrity import IntegrityCheck
from mreg.stores.settings import StoreSettings
from mreg.testing.blob_backend import PartsContract, key_of
from tests.conftest import EVERY_STORE
from tests.servers import Place


def backend_at(place: Place, **settings: str) -> S3Backend:
    return S3Backend(Bucket(place.url, StoreSettings(endpoint_url=place.endpoint, **settings), lambda _text: None))


class S3BackendContract(PartsContract):
    @pytest.fixture
    def backend(self, place: Place) -> S3Backend:
        self.place = place
        return backend_at(place)

    def raw(self, backend: BlobBackend, key: str) -> bytes | None:
        try:
            return self.place.read(key)
        except KeyError:
            return None

    def leftovers(self, backend: BlobBackend) -> list[str]:
        return self.place.uploads()


@EVERY_STORE
class TestS3Backend(S3BackendContract):
    """Each store as it is."""


class TestS3BackendWithoutConditions(S3BackendContract):
    """A store that does not know If-None-Match."""

    @pytest.fixture
    def backend(self, place: Place) -> S3Backend:
        self.place = place
        backend = backend_at(place)
        backend._bucket.forget_conditions()
        return backend

    def test_one_of_many_concurrent_puts_wins(self, backend: BlobBackend) -> None:
        data = b"same" * 10_000
        assert backend.put_if_absent(key_of(data), data)
        assert not backend.put_if_absent(key_of(data), data)


class TestS3BackendWithoutChecksums(S3BackendContract):
    """A store that is not to be asked for checksums: something else covers what is sent."""

    @pytest.fixture
    def backend(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> S3Backend:
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        self.place = place
        backend = backend_at(place)
        assert backend._bucket.integrity is not IntegrityCheck.SUM
        return backend
