"""Tests of accepting a video where storing it fails."""

import pytest

from services.submit import Order, accept_arrived
from shared.digests import sha256_of
from shared.errors import Infrastructure
from shared.storage import Storage
from tasks.node import ledger, storage
from tests.support.clips import make_clip
from tests.support.node import node


def handed_in(key):
    """A video that has arrived, accepted under an idempotency key."""
    arrived = make_clip(storage().incoming() / f"{key}.mp4")
    return accept_arrived(arrived, sha256_of(arrived), "clip.mp4", Order(idempotency_key=key, request_digest=key))


def test_a_retry_whose_video_cannot_be_stored_ends_no_other_job(tmp_path, monkeypatch):
    """A video that cannot be stored fails the job that it came for, not the one that an earlier request made."""
    with node(tmp_path / "data"):
        first, _ = handed_in("k1")

        def full(*_):
            raise Infrastructure("the disk is full", code="disk_full")

        monkeypatch.setattr(Storage, "adopt", full)
        for key in ("k1", "k2"):
            with pytest.raises(Infrastructure, match="full"):
                handed_in(key)
        other = ledger().find("k2", owner=None)
        assert (ledger().job(first.id).state, other.state) == ("queued", "failed")
