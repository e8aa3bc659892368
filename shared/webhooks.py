"""Webhooks in the ledger: who is told that a job has ended, and how telling it went.

A delivery is due when its job has ended and its time has come; that is read from the ledger alone, so nothing is lost
with the broker. Attempts are claimed by compare-and-set: two workers never make the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import secrets
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, column_property, mapped_column

from shared.errors import Infrastructure
from shared.ledger import Ledger
from shared.outgoing import web_url
from shared.settings import Settings
from shared.signing import read_secret, write_secret
from shared.tables import OPEN_STATES, Base, Job, new_id

PAUSES_SECONDS = (5, 30, 120, 600, 1800, 7200, 18_000, 36_000, 36_000)
"""Between the attempts, ten in all, over 28 hours; the specification asks for about a day, ever more slowly."""
ATTEMPTS = len(PAUSES_SECONDS) + 1
JITTER = 0.2
"""Each pause is longer or shorter by up to this fraction: receivers that were down together are not met together."""
LEASE_SECONDS = 60.0
"""An attempt whose worker died is made again after this; more than an attempt can take."""
DUE_AT_ONCE = 1000
"""More than the control workers have places for."""
SECRET_FILE = "webhook.secret"  # noqa: S105  (its name)


class Webhook(Base):
    """One notice that a job has ended, to one address."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The `webhook-id` of each attempt."""
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    url: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float | None] = mapped_column(index=True)
    """When the next attempt may be made; None when there is none."""
    delivered_at: Mapped[float | None]
    last_error: Mapped[str | None]
    created_at: Mapped[float]
    owner: Mapped[str | None] = column_property(
        sa.select(Job.owner).where(Job.id == job_id).correlate_except(Job).scalar_subquery()
    )
    """Id of the API key that submitted its job; read with it."""

    @property
    def receiver(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def state(self) -> str:
        """`delivered`, `failed` (given up) or `pending`."""
        if self.delivered_at is not None:
            return "delivered"
        return "failed" if self.next_at is None else "pending"


def new_webhook(job_id: str, url: str) -> Webhook:
    """A notice to be stored with its job: `ledger.create(job, also=[new_webhook(job.id, url)])`.

    Raises:
        UrlRefused: this is no http or https address (`bad_url`). Where it leads is judged when it is connected to.
    """
    now = time.time()
    return Webhook(id=f"msg_{new_id()}", job_id=job_id, url=web_url(url).text, next_at=now, created_at=now)


class Webhooks:
    """The webhooks of one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def of(self, job_id: str) -> Sequence[Webhook]:
        """A job's webhooks, oldest first."""
        with self.ledger.session() as session:
            return session.scalars(sa.select(Webhook).where(Webhook.job_id == job_id).order_by(Webhook.id)).all()

    def find(self, webhook_id: str) -> Webhook | None:
        """One webhook; None when its job was deleted."""
        with self.ledger.session() as session:
            return session.get(Webhook, webhook_id)

    def due(self, deployment: str, *, limit: int = DUE_AT_ONCE) -> Sequence[Webhook]:
        """What has to be sent now, of each API key in turn; of a key's the longest waiting one of each address first,
        then the second of each, and so on.
        """
        turn = sa.func.row_number().over(partition_by=Webhook.url, order_by=Webhook.next_at)
        columns = (Webhook.id, Webhook.next_at, Webhook.owner.label("owner"), turn.label("turn"))
        due = sa.select(*columns).where(_is_due(Job.deployment == deployment)).subquery()
        order = (due.c.turn, due.c.next_at)
        of_key = sa.func.row_number().over(partition_by=due.c.owner, order_by=order)
        query = sa.select(Webhook).join(due, due.c.id == Webhook.id).order_by(of_key, *order).limit(limit)
        with self.ledger.session() as session:
            return session.scalars(query).all()

    def claim(self, webhook_id: str) -> Webhook | None:
        """Count an attempt before it is made; None when it is not due or somebody else makes it."""
        with self.ledger.session() as session:
            query = sa.update(Webhook).where(Webhook.id == webhook_id, _is_due())
            values = {"attempts": Webhook.attempts + 1, "next_at": time.time() + LEASE_SECONDS}
            result = session.execute(query.values(**values), execution_options={"synchronize_session": False})
            if result.rowcount != 1:  # type: ignore[attr-defined]
                return None
            return session.get_one(Webhook, webhook_id)

    def delivered(self, hook: Webhook) -> None:
        """Note that an attempt arrived."""
        self._settle(hook, next_at=None, delivered_at=time.time(), last_error=None)

    def missed(self, hook: Webhook, error: str, *, final: bool = False) -> float | None:
        """Note that an attempt did not arrive; when the next one is due, None when there is none."""
        pause = None if final else pause_seconds(hook.attempts)
        next_at = None if pause is None else time.time() + pause
        self._settle(hook, next_at=next_at, last_error=error)
        return next_at

    def _settle(self, hook: Webhook, **values: float | str | None) -> None:
        """Close an attempt, unless it took so long that another one has begun."""
        same = sa.update(Webhook).where(Webhook.id == hook.id, Webhook.attempts == hook.attempts)
        with self.ledger.session() as session:
            session.execute(same.values(**values))


def _is_due(*job: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    ended = sa.select(Job.id).where(Job.id == Webhook.job_id, Job.state.not_in(OPEN_STATES), *job)
    return sa.and_(Webhook.next_at <= time.time(), ended.correlate(Webhook).exists())


def pause_seconds(attempts: int) -> float | None:
    """How long to wait after so many attempts; None when that was the last."""
    if attempts >= ATTEMPTS:
        return None
    return PAUSES_SECONDS[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  (no secret)


def secret_of(settings: Settings, owner: str | None) -> str:
    """The secret that signs what an API key's owner is sent; no key: that of the deployment's own jobs.

    It is derived from the deployment's, so the ledger holds none, and who knows one cannot forge another's.

    Raises:
        BadInput: REELGRAPH_WEBHOOK_SECRET is not one (`bad_webhook_secret`).
        Infrastructure: none is set, and the data folder cannot keep one.
    """
    master = read_secret(settings.webhook_secret or _kept_secret(settings.data_dir / SECRET_FILE))
    return write_secret(hmac.digest(master, f"reelgraph webhook {owner or ''}".encode(), hashlib.sha256))


def _kept_secret(path: Path) -> str:
    """The secret that this data folder keeps; made by whoever comes first."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", encoding="ascii") as file:
                file.write(write_secret(secrets.token_bytes(32)))
                file.flush()
                with suppress(FileExistsError):  # another process was first
                    os.link(file.name, path)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise Infrastructure(f"{path} cannot be used: {error.strerror}", code="disk_error") from error
