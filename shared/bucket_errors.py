"""What a bucket's server said where s3fs has made an error of Python's of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def answer(error: OSError) -> Mapping[str, Any]:
    """The server's answer; empty where it gave none."""
    from botocore.exceptions import ClientError

    return error.__cause__.response if isinstance(error.__cause__, ClientError) else {}


def names_no_bucket(error: FileNotFoundError) -> bool:
    """Whether the bucket itself is not there: by the server's code, since any bucket or key may be called anything."""
    return bool(answer(error).get("Error", {}).get("Code") == "NoSuchBucket")


def refuse_no_bucket(error: FileNotFoundError) -> None:
    """Raise it again where the bucket itself is not there."""
    if names_no_bucket(error):
        raise error
