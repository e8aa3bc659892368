"""Tests of the settings: environment in, environment for children out, and bad values said in a sentence."""

import os
import traceback
from pathlib import Path

import pytest

from shared.errors import BadInput
from shared.settings import Settings, settings, use


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No variable of ours, before and after."""

    def forget():
        for name in Settings.model_fields:
            os.environ.pop(f"REELGRAPH_{name.upper()}", None)
        settings.cache_clear()

    saved = {name: value for name, value in os.environ.items() if name.startswith("REELGRAPH_")}
    forget()
    yield
    forget()
    os.environ.update(saved)


def test_nothing_has_to_be_set():
    """Without any variable everything lies in one folder and no broker is configured."""
    chosen = settings()
    assert chosen.broker_url is None
    assert chosen.frames_folder.parent == chosen.storage_folder.parent == chosen.data_dir
    assert chosen.ledger == f"sqlite:///{chosen.data_dir}/ledger.sqlite3"


def test_every_setting_reaches_a_child(monkeypatch):
    """Settings written into the environment are read back the same, whatever their types."""
    chosen = Settings(
        data_dir=Path("/a b"),
        weights_dir=Path("/w"),
        frames_dir=Path("/f"),
        profile="gpu",
        broker_url="redis://:p%40ss@h:1/0",
        ledger_url="postgresql://h/d",
        storage_url="s3://b/p",
        storage_endpoint="http://h:9000",
        storage_public_endpoint="http://h.example:9000",
        storage_signed_seconds=60,
        storage_encryption="aws:kms:k",
        storage_copies_bytes=5,
        deployment="d",
        threads=3,
        device="cpu",
        gpu=3,
        gpu_memory_mib=20_000,
        worker_memory_mib=2_000,
        keep_days=30.0,
        unload_after_seconds=600.5,
        models={"speech_transcription": "whisper-large-v3"},
        precision={"blip2_caption": "nf4"},
        compile=True,
        groups_file=Path("/g"),
        hub_lock=Path("/l"),
        api_key="rg_k",
        pins_file=Path("/p q.toml"),
        frame_store_bytes=1 << 33,
        video_frames_bytes=1 << 32,
        preload_seconds=1.5,
        deadline_seconds=2.25,
        infer_personal_traits=False,
        max_attempts=7,
        webhook_secret="whsec_" + "A" * 32,
        reachable_networks="10.0.0.0/8, fd00::/8",
        require_keys=False,
        max_upload_bytes=5,
        max_video_seconds=1.5,
        upload_bytes_per_second=3,
        upload_grace_seconds=0.5,
        upload_hours=0.25,
        fetch_seconds=2.5,
        api_followers=2,
        flower_socket=Path("/s"),
        log_json=True,
    )
    assert set(chosen.environment()) == {f"REELGRAPH_{name.upper()}" for name in Settings.model_fields}
    use(chosen)
    assert settings() == chosen == Settings()


def test_a_secret_is_read_from_a_file(monkeypatch, tmp_path):
    """A setting may lie in a file of its name, as compose and Kubernetes mount secrets; a variable goes before it."""
    (tmp_path / "reelgraph_broker_url").write_text("redis://:s3cret@h:1/0\n")
    (tmp_path / "reelgraph_ledger_url").write_text("postgresql://from-the-file/x")
    monkeypatch.setenv("REELGRAPH_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("REELGRAPH_LEDGER_URL", "postgresql://from-the-variable/x")
    assert settings().broker == "redis://:s3cret@h:1/0"
    assert settings().ledger == "postgresql://from-the-variable/x"


@pytest.mark.parametrize("name", ["broker_url", "models"])
def test_a_secret_that_cannot_be_read_is_said(monkeypatch, tmp_path, name):
    """A secret's file that is not UTF-8 is one sentence with the folder and the setting, not talk of JSON."""
    (tmp_path / f"reelgraph_{name}").write_bytes(b"redis://:s3cr\xffet@h:1/0")
    monkeypatch.setenv("REELGRAPH_SECRETS_DIR", str(tmp_path))
    with pytest.raises(BadInput, match=f'^REELGRAPH_SECRETS_DIR={tmp_path}: .*"{name}".*: it is not UTF-8$') as caught:
        settings()
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_folder_of_secrets_is_said(monkeypatch, tmp_path):
    """Secrets that were not mounted end the start in a sentence, not in a service without a broker."""
    monkeypatch.setenv("REELGRAPH_SECRETS_DIR", str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match="there is no such folder"):
        settings()


def test_a_setting_can_be_taken_back():
    """Settings chosen later replace those chosen before, also with nothing."""
    use(Settings(broker_url="redis://h:1/0", deadline_seconds=5))
    use(Settings(broker_url=None, deadline_seconds=None))
    assert (settings().broker_url, settings().deadline_seconds) == (None, None)
    assert "REELGRAPH_BROKER_URL" not in os.environ


def test_an_empty_variable_is_none(monkeypatch):
    """An empty variable, as compose files make, means the default: not the working folder."""
    for name in Settings.model_fields:
        monkeypatch.setenv(f"REELGRAPH_{name.upper()}", "")
    assert settings() == Settings.model_construct()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("THREADS", "two", "valid integer"),
        ("THREADS", "0", "greater than or equal to 1"),
        ("DEADLINE_SECONDS", "-1", ">"),
        *[
            ("STORAGE_URL", url, "s3://BUCKET or s3://BUCKET/PREFIX is expected")
            for url in ("reels", "s3://", "s3:///prefix", "file:///tmp", "http://h/b")
        ],
        *[
            ("STORAGE_ENCRYPTION", text, "AES256, aws:kms or aws:kms:KEY-ID is expected")
            for text in ("aes", "AES256:x", "aws", "aws:other", "kms", "aws:kms:", "aws:kms: ")
        ],
    ],
)
def test_a_bad_value_is_named(monkeypatch, name, value, reason):
    """A value that does not fit is bad input; the sentence names variable, value and reason."""
    monkeypatch.setenv(f"REELGRAPH_{name}", value)
    with pytest.raises(BadInput) as caught:
        settings()
    assert caught.value.message.startswith(f"REELGRAPH_{name}={value}: ")
    assert reason.replace(">", "greater than 0") in caught.value.message
    assert "\n" not in caught.value.message


NO_BROKERS = (
    "redis://u:s3cr#et@h:6379/0",
    "redis://u:12#s3cret@h:6379/0",
    "redis://u:12?s3cret@h:6379/0",
    "redis://u:12/s3cret@h:6379/0",
    "redis://u:s3cret@h:abc/0",
    "redis://u:s3cret@h:99999/0",
    "redis://u:s3cret@[::1/0",
    "redis://u:s3cret@/0",
    "redis://u:s3cret@h:6379/zero",
    "http://u:s3cret@h:6379/0",
    "redis://h:6379/0?password=s3cret",
    "redis://h:6379/0?socket_timeout=abc",
    "redis://h:6379/0?db=3",
    "s3cret",
)
"""Addresses that redis-py or kombu would not read, or read as another host's."""


@pytest.mark.parametrize("url", NO_BROKERS)
def test_a_brokers_address_that_cannot_be_read_is_refused(monkeypatch, url):
    """The sentence says how an address is written and repeats nothing of this one; neither does a traceback."""
    monkeypatch.setenv("REELGRAPH_BROKER_URL", url)
    with pytest.raises(BadInput, match=r"REELGRAPH_BROKER_URL: redis://USER:.* percent-encoded") as caught:
        settings()
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(part in shown for part in ("s3cr", "et@", "abc", "99999"))


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:a%23b@h:1/", "redis://[::1]:6379/15", "rediss://h/0?ssl_ca_certs=/a"]
)
def test_a_brokers_address_that_can_be_read(monkeypatch, url):
    """What redis-py and kombu read alike is taken as it is."""
    monkeypatch.setenv("REELGRAPH_BROKER_URL", url)
    assert settings().broker == url
    assert url not in repr(settings())


def test_settings_do_not_change():
    """A process cannot change a setting behind the others' backs."""
    with pytest.raises(ValueError, match="frozen"):
        settings().threads = 4


def test_a_setting_that_should_be_json(monkeypatch):
    """What cannot be read as JSON is one sentence with the setting's name, no traceback."""
    monkeypatch.setenv("REELGRAPH_MODELS", "object_detection=d-fine-large")
    settings.cache_clear()
    with pytest.raises(BadInput, match=r'does not hold JSON: .*"models"'):
        settings()


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("true", True), ("0", False)])
def test_recording_is_a_switch_with_a_third_place(monkeypatch, text, value):
    """REELGRAPH_COMPILE is auto unless it is set, and reaches children as it is."""
    assert settings().compile == "auto"
    monkeypatch.setenv("REELGRAPH_COMPILE", text)
    settings.cache_clear()
    assert settings().compile == value
    use(settings())
    assert settings().compile == value
