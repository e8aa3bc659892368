"""How a broker at a `rediss://` address is spoken to: its certificate is required and checked, unless the address says
otherwise. redis-py does so by itself; Celery and Flower must be told.
"""

from __future__ import annotations

import ssl
from typing import TypedDict
from urllib.parse import parse_qs, urlsplit

from shared.errors import BadInput

CERTIFICATES = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
"""What redis-py takes for `ssl_cert_reqs`; Celery takes more."""


class Tls(TypedDict, total=False):
    """What Celery, its result backend and Flower take, under redis-py's names."""

    ssl_cert_reqs: ssl.VerifyMode
    ssl_ca_certs: str


def tls(url: str) -> Tls | None:
    """The terms of a `rediss://` address; None for `redis://`.

    `?ssl_ca_certs=FILE` names the authority, `?ssl_cert_reqs=none` asks for no certificate. Whatever else the query
    has is left to those who read it.

    Raises:
        BadInput: `ssl_cert_reqs` is nothing that all who read the address know (`bad_setting`).
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return None
    said = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    wanted = said.get("ssl_cert_reqs", "required")
    if wanted not in CERTIFICATES:
        known = ", ".join(CERTIFICATES)
        raise BadInput(f"the broker's address has ssl_cert_reqs={wanted}; known are {known}", code="bad_setting")
    terms: Tls = {"ssl_cert_reqs": CERTIFICATES[wanted]}
    if "ssl_ca_certs" in said:
        terms["ssl_ca_certs"] = said["ssl_ca_certs"]
    return terms
