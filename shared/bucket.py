"""An S3 bucket: where it is, and for how long who asks it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.bucket_address import bucket_and_prefix, encryption_headers
from shared.bucket_errors import names_no_bucket
from shared.errors import Infrastructure

if TYPE_CHECKING:
    from s3fs import S3FileSystem


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the server may keep us waiting."""

    connect_seconds: float = 5
    read_seconds: float = 60
    """Without a byte; a whole request is bounded by attempts times this."""
    attempts: int = 3

    @property
    def seconds(self) -> float:
        """What a request that sends something takes at most: while it is sent, no timer of aiohttp runs."""
        return self.attempts * (self.connect_seconds + self.read_seconds)


USUAL = Patience()
CHECKED = Patience(connect_seconds=1, read_seconds=1.5, attempts=1)
"""For readiness, which answers within 2 s: a check that hangs longer tells nobody anything."""

UNDER_LOCK = Patience(read_seconds=20, attempts=1)
"""For removing a video: four requests of this, and the lock of all hosts is still held."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects lie. Credentials come from the environment or a file, as AWS's own tools take them."""

    url: str
    """`s3://bucket/prefix`"""
    endpoint: str | None = None
    """Address of a server that is not AWS's."""
    encryption: str | None = None
    """`AES256`, or `aws:kms` with the bucket's key, or `aws:kms:KEY-ID`."""
    public_endpoint: str | None = None
    """Address of the same server that browsers know it by; default: `endpoint`."""

    @property
    def place(self) -> str:
        """Bucket and prefix."""
        return bucket_and_prefix(self.url)

    @property
    def headers(self) -> dict[str, str]:
        """What every upload says about encryption."""
        return encryption_headers(self.encryption)

    @contextmanager
    def asked(self, endpoint: str | None = None, *, patience: Patience = USUAL) -> Iterator[S3FileSystem]:
        """A client for the bucket, at another address if one is given.

        What goes wrong in the block is Infrastructure, but FileNotFoundError stays what it is.
        """
        from aiohttp import ClientError
        from botocore.exceptions import BotoCoreError
        from botocore.exceptions import ClientError as Refusal
        from fsspec.exceptions import FSTimeoutError

        try:
            yield self._file_system(endpoint or self.endpoint, patience)
        except FileNotFoundError as error:
            if names_no_bucket(error):
                raise Infrastructure(f"the storage {self.url} failed: {error}", code="storage_error") from error
            raise
        except (OSError, BotoCoreError, Refusal, ClientError, FSTimeoutError, TimeoutError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise Infrastructure(f"the storage {self.url} failed: {reason}", code="storage_error") from error

    def _file_system(self, endpoint: str | None, patience: Patience) -> S3FileSystem:
        """The one of this process and thread; fsspec keeps it, and makes another in a forked child."""
        import fsspec

        options: dict[str, Any] = {
            "endpoint_url": endpoint,
            "s3_additional_kwargs": self.headers,
            "config_kwargs": {
                "connect_timeout": patience.connect_seconds,
                "read_timeout": patience.read_seconds,
                "retries": {"total_max_attempts": patience.attempts, "mode": "standard"},
                "signature_version": "s3v4",  # addresses are signed with version 2 otherwise, which AWS refuses
            },
            "use_listings_cache": False,
        }
        file_system: S3FileSystem = fsspec.filesystem("s3", **options)
        file_system.retries = 1  # botocore's attempts are enough
        return file_system
