"""Signatures of webhooks, as the Standard Webhooks specification 1.0.0 has them (symmetric, `v1`).

Signed is `{id}.{timestamp}.{body}` with HMAC-SHA256. Nothing here needs more than Python: a receiver may copy it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

from shared.errors import BadInput, Unauthenticated

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300.0
"""How far a delivery's time may be from the receiver's: the specification's libraries have five minutes."""


def write_secret(key: bytes) -> str:
    """A key as it is shown."""
    return PREFIX + base64.b64encode(key).decode("ascii")


def read_secret(secret: str) -> bytes:
    """The key that a secret stands for: 24 to 64 bytes. Raises BadInput (`bad_webhook_secret`)."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        message = f"a webhook secret is {PREFIX} and 24 to 64 random bytes in base64"
        raise BadInput(message, code="bad_webhook_secret")
    return key


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery. `timestamp`: seconds since the epoch, of this attempt."""
    signature = _signature(read_secret(secret), message_id, str(timestamp), body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode('ascii')}",
    }


def verify(
    headers: Mapping[str, str], body: bytes, secret: str, *, tolerance_seconds: float = TOLERANCE_SECONDS
) -> str:
    """Check a delivery and return its id, which is the same for each retry: a receiver ignores one it has seen.

    `body` is what came, byte for byte; JSON that was read and written again has another signature.

    Raises:
        Unauthenticated: a header is missing (`unsigned`), the time is too far away, so that it may be a replay
            (`stale`), or no signature is right (`bad_signature`).
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise Unauthenticated(f"the header {error.args[0]} is missing", code="unsigned") from error
    if not (timestamp.isascii() and timestamp.isdecimal()) or abs(time.time() - int(timestamp)) > tolerance_seconds:
        raise Unauthenticated(f"the delivery is not from the last {tolerance_seconds:g} s", code="stale")
    expected = _signature(read_secret(secret), message_id, timestamp, body)
    if not any(hmac.compare_digest(expected, one) for one in _decoded(signatures)):
        raise Unauthenticated("the delivery is not signed with this secret", code="bad_signature")
    return message_id


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _decoded(signatures: str) -> list[bytes]:
    """The `v1` signatures of a header; while a secret is changed there are several."""
    found = []
    for one in signatures.split(" "):
        version, _, text = one.partition(",")
        try:
            found += [base64.b64decode(text, validate=True)] if version == "v1" else []
        except (binascii.Error, ValueError):
            continue
    return found
