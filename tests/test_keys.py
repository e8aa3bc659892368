"""Tests of API keys: what a token opens, what is kept of it, and the commands."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import shared.keys
from shared.errors import BadInput, Forbidden, Unauthenticated
from shared.keys import Keys
from shared.ledger import Ledger
from tests.support.project import ROOT


@pytest.fixture
def keys(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger.migrate()
    return Keys(ledger)


@pytest.fixture
def reelgraph(tmp_path):
    """Runs `reelgraph keys` on a ledger of its own."""
    environment = {**os.environ, "REELGRAPH_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}

    def run(*arguments, **more):
        command = [str(Path(sys.executable).with_name("reelgraph")), "keys", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment | more, check=False)

    return run


def test_a_token_opens_its_key(keys):
    """A token is recognised, and the key has the name, scopes and limits that it was made with."""
    keys.create("other", ["read"])
    made = keys.create("me", ["write", "read"], requests_per_minute=60, concurrent_jobs=2)
    key = keys.authenticate(made.token)
    assert (key.id, key.name, key.scopes) == (made.key.id, "me", ["read", "write"])
    assert (key.requests_per_minute, key.concurrent_jobs, key.revoked_at) == (60, 2, None)


def test_tokens_are_not_stored(keys):
    """No byte of the ledger's file is a token's secret: who reads a backup cannot use the API."""
    token = keys.create("me", ["read"]).token
    with sqlite3.connect(keys.ledger.engine.url.database) as connection:
        dump = "\n".join(connection.iterdump())
    assert token.split("_")[1] in dump
    assert token.split("_", 2)[2] not in dump


def test_tokens_do_not_repeat_and_are_long(keys):
    """Every token is another one and carries 256 random bits."""
    tokens = {keys.create("same", ["read"]).token for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token.split("_", 2)[2]) == 43 for token in tokens)


def changed(token):
    return token[:-1] + ("A" if token[-1] != "A" else "B")


@pytest.mark.parametrize(
    "spoil",
    [changed, lambda t: t[:-1], lambda t: t + "A", str.upper, lambda t: f"{t}\n", lambda t: t.replace("rg_", "xx_")],
)
def test_a_spoilt_token_opens_nothing(keys, spoil):
    """One wrong, missing or additional character: refused with a code and without saying what was wrong."""
    token = keys.create("me", ["admin"]).token
    with pytest.raises(Unauthenticated, match="no API key") as caught:
        keys.authenticate(spoil(token))
    assert caught.value.code == "bad_key"


@pytest.mark.parametrize(
    "token", ["", "rg_", "rg__", "\x00", "rg_\ud800_x", "é" * 60, "rg_" + "0" * 12 + "_" + "A" * 43]
)
def test_nonsense_opens_nothing(keys, token):
    """What was never a token is refused in the same words, whatever bytes it has."""
    keys.create("me", ["admin"])
    with pytest.raises(Unauthenticated, match="no API key"):
        keys.authenticate(token)


def test_the_secret_of_one_key_does_not_open_another(keys):
    """A prefix with the secret of another key is refused."""
    mine, yours = keys.create("me", ["read"]).token, keys.create("you", ["read"]).token
    mixed = "_".join([*mine.split("_", 2)[:2], yours.split("_", 2)[2]])
    with pytest.raises(Unauthenticated):
        keys.authenticate(mixed)


def test_a_revoked_key_opens_nothing(keys):
    """Revoking holds at once, twice is as good as once, and other keys go on."""
    mine, yours = keys.create("me", ["read"]), keys.create("you", ["read"])
    when = keys.revoke(mine.key.prefix).revoked_at
    assert keys.revoke(mine.key.prefix).revoked_at == when
    with pytest.raises(Unauthenticated, match="'me' was revoked") as caught:
        keys.authenticate(mine.token)
    assert caught.value.code == "revoked_key"
    assert keys.authenticate(yours.token).name == "you"
    assert keys.any()
    keys.revoke(yours.key.prefix)
    assert not keys.any()


@pytest.mark.parametrize(
    ("given", "allowed"),
    [(["read"], {"read"}), (["write"], {"write"}), (["admin"], {"read", "write", "admin"}), (["read", "write"], None)],
)
def test_scopes_allow_what_they_say(keys, given, allowed):
    """Each scope opens itself alone, and admin opens all; what is not open is refused with a code."""
    key = keys.create("me", given).key
    for scope in shared.keys.SCOPES:
        if scope in (allowed or given):
            key.require(scope)
        else:
            with pytest.raises(Forbidden, match=f"no scope '{scope}'") as caught:
                key.require(scope)
            assert caught.value.code == "missing_scope"


def test_use_is_noted_once_a_minute(keys, monkeypatch):
    """A key's last use is known to the minute, without a write at every request."""
    token = keys.create("me", ["read"]).token
    noted = []
    for now in (1000.0, 1030.0, 1061.0):
        monkeypatch.setattr(shared.keys.time, "time", lambda now=now: now)
        keys.authenticate(token)
        noted.append(keys.list()[0].last_used_at)
    assert noted == [1000.0, 1000.0, 1061.0]


@pytest.mark.parametrize(
    "options", [{"name": " "}, {"scopes": []}, {"concurrent_jobs": 0}, {"requests_per_minute": -1}]
)
def test_a_key_that_cannot_be_is_refused(keys, options):
    """A key without a name or scope, or with a limit below one, is not made."""
    with pytest.raises(BadInput) as caught:
        keys.create(**{"name": "me", "scopes": ["read"], **options})
    assert caught.value.code == "bad_key_option"
    assert not keys.list()


def test_the_commands_make_list_and_revoke(reelgraph, tmp_path):
    """The token alone is on standard output, works, is never shown again, and is refused after its revocation."""
    assert "no keys yet" in reelgraph("list").stdout
    made = reelgraph("create", "phone", "--scope", "read", "--concurrent-jobs", "2")
    token = made.stdout.strip()
    keys = Keys(Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite3'}"))
    prefix = keys.authenticate(token).prefix
    listed = reelgraph("list", "--json")
    (one,) = json.loads(listed.stdout)
    assert (one["prefix"], one["name"], one["scopes"], one["concurrent_jobs"]) == (prefix, "phone", "read", 2)
    table = reelgraph("list").stdout
    assert token not in listed.stdout + table
    assert [line.split()[0] for line in table.splitlines()] == ["prefix", prefix]
    narrow = reelgraph("list", FORCE_COLOR="1", COLUMNS="60").stdout  # as on a terminal
    assert prefix in narrow
    assert reelgraph("revoke", prefix).returncode == 0
    with pytest.raises(Unauthenticated):
        keys.authenticate(token)


def test_a_key_has_its_webhook_secret(reelgraph):
    """The command prints a secret of a receiver's, the same each time, another for each key and for none."""
    made = [reelgraph("create", name) for name in ("a", "b")]
    prefixes = [one.stdout.split("_")[1] for one in made]
    secrets = [reelgraph("webhook-secret", *arguments).stdout for arguments in ([prefixes[0]], [prefixes[1]], [])]
    assert len({*secrets}) == 3
    assert all(secret.startswith("whsec_") for secret in secrets)
    assert reelgraph("webhook-secret", prefixes[0]).stdout == secrets[0]


def test_revoking_nothing_is_bad_input(reelgraph):
    """A prefix that no key has is refused in a sentence, with the command that helps."""
    result = reelgraph("revoke", "nothing")
    assert result.returncode == 2
    assert result.stderr.strip() == "reelgraph: there is no key nothing; `reelgraph keys list` names them"
