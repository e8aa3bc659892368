"""The one place that reads settings: environment variables `REELGRAPH_*`, with defaults for one machine."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from shared.broker_address import broker_parts
from shared.bucket_address import bucket_and_prefix, encryption_headers
from shared.errors import BadInput
from shared.guard import networks

HOME = platformdirs.user_data_path("reelgraph")

SECRETS_DIR = "REELGRAPH_SECRETS_DIR"
"""Where secrets are mounted, a file each: whoever inspects a container sees its environment variables."""

Precision = Literal["auto", "fp32", "bf16", "int8", "nf4"]
Compile = Literal["auto"] | bool


class Settings(BaseSettings):
    """Settings of one process. Every field `x` is read from `REELGRAPH_X`, or from a file `reelgraph_x` of the folder
    that `REELGRAPH_SECRETS_DIR` names.
    """

    # compose files hand on a variable that is not set as an empty one
    model_config = SettingsConfigDict(
        env_prefix="REELGRAPH_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(HOME, description="ledger, stored videos and results, frame store, embedded broker")
    weights_dir: Path = Field(HOME / "weights", description="model files")
    frames_dir: Path | None = Field(None, description="frame store; default: inside data_dir")
    profile: str = Field("local", description="which models and workers: local (CPU) or gpu")
    broker_url: str | None = Field(
        None, repr=False, description="redis:// or rediss:// URL; without one, commands bring a broker"
    )
    ledger_url: str | None = Field(None, repr=False, description="SQLAlchemy URL; default: SQLite in data_dir")
    storage_url: str | None = Field(None, description="s3://bucket/prefix; default: a folder in data_dir")
    storage_endpoint: str | None = Field(None, description="address of an S3 server that is not AWS's")
    storage_public_endpoint: str | None = Field(
        None, description="address of that server for browsers; default: the same"
    )
    storage_signed_seconds: int | None = Field(
        None, ge=1, le=604_800, description="videos are read from the bucket, by addresses that are good for so long"
    )
    storage_encryption: str | None = Field(
        None, description="AES256, aws:kms or aws:kms:KEY-ID, asked of the S3 server"
    )
    storage_copies_bytes: int = Field(20 << 30, ge=0, description="size at which a host drops copies of old videos")
    deployment: str = Field("default", description="whose jobs a reconciler may queue again; one per broker")
    threads: int = Field(1, ge=1, description="CPU threads one model may use")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: a group with gpu = true needs a GPU; cpu: none")
    gpu: int | None = Field(None, ge=0, description="which of the GPUs it sees a worker uses; default: groups.toml")
    gpu_memory_mib: int | None = Field(None, ge=1, description="GPU memory one worker may use; default: all of it")
    worker_memory_mib: int | None = Field(None, ge=1, description="a process beyond it is replaced after its task")
    unload_after_seconds: float | None = Field(None, gt=0, description="idle GPU workers let go of their models then")
    models: dict[str, str] = Field({}, description='other weights for an analyzer: {"ANALYZER": "ENTRY"}, as JSON')
    precision: dict[str, Precision] = Field({}, description='{"ANALYZER": "bf16"}: fp32, bf16, int8, nf4 or auto')
    groups_file: Path | None = Field(None, description="groups and workers; default: those of this version")
    hub_lock: Path | None = Field(None, description="lock file of hub models; default: hub.lock.json in weights_dir")
    compile: Compile = Field(
        default="auto",
        description="models that write: record the inner loop at warm-up; auto: on a GPU, in workers that stay",
    )
    pins_file: Path | None = Field(None, description="more pins of weights, or others for the same names")
    frame_store_bytes: int = Field(32 << 30, ge=1 << 20, description="size at which old renditions are evicted")
    video_frames_bytes: int = Field(8 << 30, ge=1 << 20, description="a video whose frames take more is read slower")
    preload_seconds: float = Field(900, gt=0, description="a worker that has not loaded its models by then gives up")
    deadline_seconds: float | None = Field(None, gt=0, description="a job's time; default: from the video's length")
    infer_personal_traits: bool = Field(default=True, description="false: no ages, no moods of faces and voices")
    require_keys: bool = Field(default=True, description="false: whoever reaches the API by a loopback name may use it")
    max_upload_bytes: int = Field(4 << 30, ge=1, description="largest video that the API takes")
    max_video_seconds: float | None = Field(4 * 3600, gt=0, description="longest video that is taken")
    max_video_pixels: int = Field(142_606_336, ge=1, description="largest picture that is taken; default: 16384x8704")
    max_video_frames: int = Field(2_000_000, ge=1, description="most pictures that a video may have")
    media_memory_bytes: int = Field(4 << 30, ge=256 << 20, description="memory of one process that reads a video")
    media_at_once: int = Field(4, ge=1, description="probes and pictures that one process has read at once")
    probe_seconds: float = Field(60, gt=0, description="a video whose facts are not found by then is refused")
    upload_bytes_per_second: int = Field(32 << 10, ge=1, description="an upload that is slower for the grace is ended")
    upload_grace_seconds: float = Field(30, gt=0, description="how long an upload may be slower than that")
    fetch_seconds: float = Field(120, gt=0, description="what bringing a video from an address may take")
    upload_hours: float = Field(24, gt=0, description="a resumable upload that nobody goes on with is removed")
    keep_days: float | None = Field(None, gt=0, description="ended jobs are deleted so long after; default: never")
    api_followers: int = Field(40, ge=1, description="connections that may follow events in one API process at once")
    flower_socket: Path | None = Field(None, description="Unix socket of Flower; the API shows it at /flower")
    log_json: bool = Field(default=False, description="one JSON object a log line")
    max_attempts: int = Field(3, ge=1, description="starts of one analyzer on one video before it counts as poison")

    api_key: str | None = Field(None, repr=False, description="shown to the service of `reelgraph analyze --server`")
    webhook_secret: str | None = Field(None, repr=False, description="signs webhooks; default: one in data_dir")
    reachable_networks: str = Field(
        "", description="private networks that fetching and webhooks may reach: 10.0.0.0/8,…"
    )

    @field_validator("broker_url")
    @classmethod
    def _is_a_brokers(cls, url: str | None) -> str | None:
        if url is not None:
            broker_parts(url)
        return url

    @field_validator("storage_url")
    @classmethod
    def _is_a_buckets(cls, url: str | None) -> str | None:
        if url is not None:
            bucket_and_prefix(url)
        return url

    @field_validator("storage_encryption")
    @classmethod
    def _is_an_encryption(cls, encryption: str | None) -> str | None:
        encryption_headers(encryption)
        return encryption

    @field_validator("reachable_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        try:
            networks(text)
        except BadInput as error:
            raise ValueError(error.message) from error
        return text

    @property
    def frames_folder(self) -> Path:
        """Where the frame store is."""
        return self.frames_dir or self.data_dir / "frames"

    @property
    def storage_folder(self) -> Path:
        """Where videos, outcomes and documents are."""
        return self.data_dir / "storage"

    @property
    def broker(self) -> str:
        """The broker's URL: a Redis of this machine when none is configured."""
        return self.broker_url or "redis://127.0.0.1:6379/0"

    @property
    def ledger(self) -> str:
        """The ledger's SQLAlchemy URL."""
        return self.ledger_url or f"sqlite:///{self.data_dir / 'ledger.sqlite3'}"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process."""
        given = self.model_dump(mode="json", exclude_none=True)
        return {f"REELGRAPH_{name.upper()}": _as_text(value) for name, value in given.items()}


def _as_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        BadInput: an environment variable does not hold what it should.
    """
    secrets = os.environ.get(SECRETS_DIR)
    if secrets and not Path(secrets).is_dir():
        raise BadInput(f"{SECRETS_DIR}={secrets}: there is no such folder", code="bad_setting")
    try:
        return Settings(_secrets_dir=secrets or None)
    except SettingsError as error:
        cause = error.__cause__
        if isinstance(cause, OSError | UnicodeDecodeError):  # of a secret's file: variables are there and are text
            reason = "it is not UTF-8" if isinstance(cause, UnicodeDecodeError) else cause
            raise BadInput(f"{SECRETS_DIR}={secrets}: {error}: {reason}", code="bad_setting") from error
        raise BadInput(f"a REELGRAPH_ variable does not hold JSON: {error}", code="bad_setting") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        given = f"={first['input']!s}" if Settings.model_fields[name].repr else ""
        raise BadInput(
            f"REELGRAPH_{name.upper()}{given}: {first['msg'].removeprefix('Value error, ')}", code="bad_setting"
        ) from error


def use(chosen: Settings) -> None:
    """Make `chosen` the settings of this process and of its children."""
    for name in Settings.model_fields:
        os.environ.pop(f"REELGRAPH_{name.upper()}", None)
    os.environ.update(chosen.environment())
    settings.cache_clear()
