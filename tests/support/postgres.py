"""A PostgreSQL server of a test's own, on a socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.namespaces import Host
from tests.support.system import missing

SERVER_USER = "nobody"  # PostgreSQL refuses to run as root


@contextmanager
def postgres(host: Host | None = None) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; on another host, over TCP."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="reelgraph-pg-") as name:  # short: a socket's path has 107 bytes at most
        folder = Path(name)
        _hand_over(folder)
        data = str(folder / "data")
        _run([programs / "initdb", "--auth=trust", "--username=reelgraph", "--no-sync", "--pgdata", data], folder)
        if host is not None:
            with (folder / "data" / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write("host all all samenet trust\n")
        listen = host.address if host else ""
        options = f"-c listen_addresses={listen} -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
        control: list[str | Path] = [programs / "pg_ctl", "--wait", "--pgdata", data]
        _run([*control, "--log", str(folder / "log"), "--options", options, "start"], folder, host)
        try:
            yield f"postgresql+psycopg://reelgraph@{listen}/postgres{'' if host else f'?host={folder}'}"
        finally:
            _run([*control, "--mode=immediate", "stop"], folder)


def _programs() -> Path:
    """The folder of initdb and pg_ctl, which Debian keeps out of PATH."""
    in_path = shutil.which("pg_ctl")
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folders += [Path(in_path).resolve().parent] if in_path else []
    found = [folder for folder in folders if (folder / "pg_ctl").exists() and (folder / "initdb").exists()]
    return found[0] if found else missing("no PostgreSQL server is installed; get it with: apt-get install postgresql")


def _hand_over(folder: Path) -> None:
    if os.geteuid() == 0:
        owner = pwd.getpwnam(SERVER_USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _run(command: list[str | Path], folder: Path, host: Host | None = None) -> None:
    as_user: list[str | Path] = ["runuser", "-u", SERVER_USER, "--"] if os.geteuid() == 0 else []
    if host is not None:
        as_user = host.command(*as_user)
    with (folder / "output").open("ab") as output:  # no pipe: the server would hold it open
        subprocess.run([*as_user, *command], cwd=folder, stdout=output, stderr=output, check=True, timeout=60)
