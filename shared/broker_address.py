"""What a broker's address may be: `redis://` or `rediss://`, read alike by redis-py, kombu and KEDA."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

SCHEMES = ("redis://", "rediss://")
FORM = "redis://USER:PASSWORD@HOST:6379/0"
OPTIONS = {"ssl_ca_certs", "ssl_cert_reqs"}
"""What all who read an address make the same of; redis-py and kombu differ in the others, or end in a traceback."""
ENCODED = "a password is percent-encoded: # is %23, / is %2F, ? is %3F, @ is %40, % is %25"


def broker_parts(url: str) -> SplitResult:
    """The parts of a broker's address: it has a host, its port is one, its path no more than a database's number.

    Raises:
        ValueError: it is no such address; why, in words that repeat nothing of it, since a password may be anywhere.
    """
    parts = _split(url) if url.startswith(SCHEMES) else None
    if parts is None:
        raise ValueError(
            f"{FORM} or rediss://… is expected, behind a ? {' and '.join(sorted(OPTIONS))} alone; {ENCODED}"
        )
    return parts


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_whole = parts.hostname and parts.port != 0 and re.fullmatch(r"/?\d*", parts.path)
    except ValueError:  # of the port, or of brackets; its own words would repeat what stands there
        return None
    # behind the host either is a part of a password that # or ? has cut in two
    known = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} <= OPTIONS
    return parts if is_whole and not parts.fragment and "@" not in parts.query and known else None
