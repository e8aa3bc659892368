"""Tests that no library tells its maker how it is used: by default ONNX Runtime does, from its import on."""

import os
import re
import subprocess
import sys
from ipaddress import ip_address

import numpy as np
import pytest

from shared.settings import settings
from shared.weights import Weights
from tasks.registry import analyzers
from tests.support.clips import Sound, make_clip
from tests.support.project import ROOT
from tests.support.system import missing, need_program

REELGRAPH = [sys.executable, "-m", "services.cli"]


@pytest.fixture
def environment(tmp_path):
    """A user's: without what tells ONNX Runtime to be silent, the names of CI services among it."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("REELGRAPH_")}
    ours = {"REELGRAPH_DATA_DIR": tmp_path / "data", "REELGRAPH_WEIGHTS_DIR": settings().weights_dir.absolute()}
    (tmp_path / "home").mkdir()
    return (
        kept
        | {name: str(path) for name, path in ours.items()}
        | {
            "HOME": str(tmp_path / "home"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT),
        }
    )


def told(folder):
    """The files below a cache folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders for it")
@pytest.mark.parametrize(
    ("imported", "kept"),
    [
        ("onnxruntime", ["deviceid", "onnxruntime.db"]),
        ("shared, onnxruntime", []),
        ("services.cli, onnxruntime", []),
        ("tasks.sessions", []),
        ("tasks.celery, onnxruntime", []),
        ("tests.test_keras", []),
    ],
)
def test_onnxruntime_is_silent_after_ours(environment, tmp_path, imported, kept):
    """Alone it keeps an id and events from its import on; imported by or after ours it does not, whatever was set."""
    environment["ORT_DISABLE_TELEMETRY"] = "0"
    code = f"import sys, {imported}; assert 'onnxruntime' in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, timeout=100, check=True)
    assert told(tmp_path / "cache") == kept


def strangers(trace):
    """The addresses in a trace that are not this machine's own, and how many there are in all."""
    sent = "\n".join(line for line in trace.splitlines() if "sa_family=AF_INET" in line)
    found = re.findall(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"', sent)
    return sorted({one for one in found if not ip_address(one).is_loopback}), len(found)


@pytest.mark.weights
@pytest.mark.slow
def test_an_analysis_speaks_to_nobody(environment, tmp_path):
    """All local analyzers look at a clip: no process of the command sends anything to another machine's address."""
    strace = need_program("strace", "apt-get install strace")
    entries = {one.weights["local"] for one in analyzers().values() if one.weights.get("local")}
    store = Weights(settings().weights_dir)
    if lacking := sorted(name for name in entries if store.on_disk(name) != "complete"):
        missing(f"models are not here: {', '.join(lacking)}; get them with: reelgraph models pull")
    sound = Sound(np.random.default_rng(1).normal(0, 0.1, (1, 96_000)).astype(np.float32), 48_000)
    clip = make_clip(tmp_path / "clip.mp4", sound=sound)
    trace = tmp_path / "trace"
    watched = [strace, "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", trace]
    command = [*watched, *REELGRAPH, "analyze", clip, "--out", tmp_path / "out"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    others, addresses = strangers(trace.read_text())
    assert addresses > 0, "the broker is at a port of this machine: strace has seen nothing"
    assert others == []
    assert told(tmp_path / "cache") == []
