"""The files of secrets that compose and Kubernetes mount, made at random where they are missing."""

from __future__ import annotations

import secrets
from pathlib import Path

from shared.signing import write_secret

FOLDER = "docker/secrets"
"""Where compose looks for them; `kubectl create secret generic reelgraph --from-file=docker/secrets` takes all."""

MOUNTED = (
    "redis_password",
    "postgres_password",
    "grafana_password",
    "reelgraph_broker_url",
    "reelgraph_ledger_url",
    "reelgraph_webhook_secret",
    "metrics_key",
    "aws_credentials",
)
"""Those that compose mounts."""

READ_BY_ALL = 0o644
"""Compose mounts the file as it is, for a user of another number; the folder is closed instead."""


def write_secrets(folder: Path) -> list[str]:
    """Make each secret that is not there yet; the names of the new ones. What is there stays: databases know it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    redis = _kept(folder, "redis_password")
    postgres = _kept(folder, "postgres_password")
    contents = {
        "redis_password": redis,
        "postgres_password": postgres,
        "grafana_password": _kept(folder, "grafana_password"),
        "redis_address": "redis.reelgraph.svc:6379",
        "reelgraph_broker_url": f"redis://:{redis}@redis:6379/0",
        "reelgraph_ledger_url": f"postgresql+psycopg://reelgraph:{postgres}@postgres:5432/reelgraph",
        "reelgraph_webhook_secret": write_secret(secrets.token_bytes(32)),
        "metrics_key": "none yet: reelgraph keys create prometheus --scope admin",
        "aws_credentials": "# none yet: an AWS credentials file, for media in a bucket\n",
    }
    new = [name for name in contents if not (folder / name).exists()]
    for name in new:
        file = folder / name
        file.write_text(contents[name], encoding="utf-8")
        file.chmod(READ_BY_ALL)
    return new


def _kept(folder: Path, name: str) -> str:
    file = folder / name
    return file.read_text(encoding="utf-8").strip() if file.exists() else secrets.token_hex(24)
