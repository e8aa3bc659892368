"""API keys: who may use this deployment, and how much.

A token is `rg_<prefix>_<secret>`. The prefix finds the row and may be shown; of the whole only a sha256 is stored.
A slow, salted hash protects passwords that people choose; 256 random bits cannot be guessed however fast the hash is,
and a slow one would be paid at every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from shared.errors import BadInput, Forbidden, Unauthenticated
from shared.ledger import Ledger
from shared.tables import Base, new_id

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX_BYTES = 6
SECRET_BYTES = 32
TOKEN = re.compile(r"rg_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
USE_SECONDS = 60.0
"""`last_used_at` is at most this much too old: a write at every request would make reading wait for the ledger."""


class ApiKey(Base):
    """One key. Revoked ones stay, so that their jobs have a name."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[list[str]]
    requests_per_minute: Mapped[int | None]
    """None: no limit."""
    concurrent_jobs: Mapped[int | None]
    """Jobs that may be open at once; None: no limit."""
    created_at: Mapped[float]
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]

    def allows(self, scope: Scope) -> bool:
        """Whether the key has the scope; `admin` has all. `write` alone cannot read."""
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises Forbidden (`missing_scope`) when the key does not have the scope."""
        if not self.allows(scope):
            raise Forbidden(f"the key {self.name!r} has no scope {scope!r}", code="missing_scope")


@dataclass(frozen=True)
class NewKey:
    """A key that was just made."""

    key: ApiKey
    token: str
    """What its holder sends. Nothing stored can bring it back."""


class Keys:
    """The API keys of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        requests_per_minute: int | None = None,
        concurrent_jobs: int | None = None,
    ) -> NewKey:
        """Make a key. Raises BadInput (`bad_key_option`) for no scopes, no name, or limits below 1."""
        if not name.strip() or not scopes:
            raise BadInput("a key needs a name and at least one scope", code="bad_key_option")
        if any(limit is not None and limit < 1 for limit in (requests_per_minute, concurrent_jobs)):
            raise BadInput("a key's limits are 1 or more", code="bad_key_option")
        prefix = secrets.token_hex(PREFIX_BYTES)
        token = f"rg_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
        key = ApiKey(
            id=new_id(),
            prefix=prefix,
            digest=_digest(token),
            name=name.strip(),
            scopes=[scope for scope in SCOPES if scope in scopes],
            requests_per_minute=requests_per_minute,
            concurrent_jobs=concurrent_jobs,
            created_at=time.time(),
        )
        with self.ledger.session() as session:
            session.add(key)
        return NewKey(key, token)

    def authenticate(self, token: str) -> ApiKey:
        """The key of a token, and note that it was used.

        Raises:
            Unauthenticated: there is no such key (`bad_key`), or it was revoked (`revoked_key`).
        """
        key = self._find(token)
        if key is None or not hmac.compare_digest(key.digest, _digest(token)):
            raise Unauthenticated("this is no API key of this deployment", code="bad_key")
        if key.revoked_at is not None:
            raise Unauthenticated(f"the API key {key.name!r} was revoked", code="revoked_key")
        self._note_use(key)
        return key

    def any(self) -> bool:
        """Whether a key exists that can be used."""
        with self.ledger.session() as session:
            return session.scalars(sa.select(ApiKey.id).where(ApiKey.revoked_at.is_(None)).limit(1)).first() is not None

    def list(self) -> Sequence[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        with self.ledger.session() as session:
            return session.scalars(sa.select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)).all()

    def of(self, prefix: str) -> ApiKey:
        """The key with this prefix. Raises BadInput (`unknown_key`)."""
        with self.ledger.session() as session:
            key = session.scalars(sa.select(ApiKey).where(ApiKey.prefix == prefix)).one_or_none()
        if key is None:
            raise BadInput(f"there is no key {prefix}; `reelgraph keys list` names them", code="unknown_key")
        return key

    def revoke(self, prefix: str) -> ApiKey:
        """Make a key useless at once; revoking it again changes nothing. Raises BadInput (`unknown_key`)."""
        with self.ledger.session() as session:
            revoke = sa.update(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
            session.execute(revoke.values(revoked_at=time.time()))
        return self.of(prefix)

    def _find(self, token: str) -> ApiKey | None:
        match = TOKEN.fullmatch(token)
        if match is None:
            return None
        with self.ledger.session() as session:
            return session.scalars(sa.select(ApiKey).where(ApiKey.prefix == match[1])).one_or_none()

    def _note_use(self, key: ApiKey) -> None:
        now = time.time()
        if key.last_used_at is not None and now - key.last_used_at < USE_SECONDS:
            return
        with self.ledger.session() as session:
            session.execute(sa.update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()
