"""One S3 server for all tests here, and a bucket of its own for each."""

from collections.abc import Iterator

import pytest

from tests.bucket.seaweed import S3Server


@pytest.fixture(scope="package")
def s3() -> Iterator[S3Server]:
    """A real S3 server."""
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket, whose keys this process and those that it starts have."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return s3.new_address()
