"""What the settings say of a bucket: where it is, and how what lies in it is encrypted."""

from __future__ import annotations

import re

SCHEME = "s3://"
KMS = "aws:kms"
ENCRYPTION = re.compile(rf"(AES256|{KMS})|{KMS}:(\S+)")


def bucket_and_prefix(url: str) -> str:
    """`bucket/prefix` of `s3://bucket/prefix`. Raises ValueError: no bucket is named."""
    place = url.removeprefix(SCHEME)
    if place == url or not place or place.startswith("/"):
        raise ValueError("s3://BUCKET or s3://BUCKET/PREFIX is expected")
    return place.strip("/")


def encryption_headers(encryption: str | None) -> dict[str, str]:
    """What every upload says about encryption.

    Raises:
        ValueError: a server might not heed it: it is not `AES256`, nor `aws:kms` with the bucket's key, nor
            `aws:kms:KEY-ID`.
    """
    if encryption is None:
        return {}
    found = ENCRYPTION.fullmatch(encryption)
    if found is None:
        raise ValueError(f"AES256, {KMS} or {KMS}:KEY-ID is expected")
    kind, key = found.groups()
    return {"ServerSideEncryption": kind} if kind else {"ServerSideEncryption": KMS, "SSEKMSKeyId": key}
