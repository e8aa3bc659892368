"""Tests of what an operator runs beside the service: retention and migration."""

import time

import pytest
from click.testing import CliRunner

from services.cli import cli
from shared.ledger import Ledger
from shared.migrations import HEAD
from shared.settings import settings, use
from shared.storage import document_key, video_key
from shared.tables import Job, new_id
from tasks.node import forget, ledger, storage

DAY_SECONDS = 86_400


@pytest.fixture(autouse=True)
def deployment(tmp_path):
    """A data folder of the test's own, and a broker that is not there."""
    before = settings()
    changed = {"data_dir": tmp_path / "data", "broker_url": "redis://127.0.0.1:1/0", "ledger_url": None}
    use(before.model_copy(update=changed))
    forget()
    yield
    use(before)
    forget()


def job(state, days, video):
    """A job that ended so many days ago, with a document and a video."""
    ended = time.time() - days * DAY_SECONDS
    made = Job(
        id=new_id(),
        state=state,
        deployment="test",
        profile="local",
        video_sha256=video * 64,
        source_name=f"{video}.mp4",
        media={"duration_seconds": 1.5},
        requested=[],
        options={},
        priority=5,
        submitted_at=ended - 10,
        deadline_at=ended + 60,
        finished_at=None if state == "running" else ended,
    )
    storage().write(document_key(made.id), b"{}")
    storage().write(video_key(made.video_sha256), b"a video")
    return ledger().create(made)


def run(*words):
    return CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False)


def test_old_jobs_go_with_what_was_kept_for_them():
    """Ended jobs beyond the days go, with documents and videos; younger and open ones stay, and videos they need."""
    old, shared = job("completed", 31, "a"), job("failed", 40, "b")
    young, still_open = job("completed", 29, "b"), job("running", 90, "c")
    assert run("prune", "--days", "30").output.endswith("2 deleted\n")
    for gone in (old, shared):
        assert not storage().exists(document_key(gone.id))
    for kept in (young, still_open):
        assert storage().exists(document_key(kept.id))
        assert ledger().job(kept.id).state == kept.state
    assert [storage().exists(video_key(name * 64)) for name in "abc"] == [False, True, True]
    assert run("prune", "--days", "30").output == "0 deleted\n"


def test_a_dry_run_deletes_nothing():
    """`--dry-run` names what would go and leaves it."""
    old = job("completed", 31, "a")
    assert run("prune", "--days", "30", "--dry-run").output == f"{old.id} a.mp4\n1 would be deleted\n"
    assert ledger().job(old.id).state == "completed"


def test_migrate_makes_the_tables(tmp_path):
    """`reelgraph migrate` brings an empty ledger to this version, and says which; again is fine."""
    for _ in range(2):
        assert run("migrate").output == f"the ledger is at {HEAD}\n"
    with Ledger(settings().ledger).session() as session:
        assert session.query(Job).count() == 0
