"""The curl examples of README.md and docs/api.md, run as they stand there."""

import json
import os
import re
import shutil
import subprocess

import pytest

from tests.support.project import ROOT
from tests.support.system import need_program

WRITTEN = "http://127.0.0.1:8000"
"""Where the examples take the service to be."""
SECONDS = 120


def examples(path):
    """The shell blocks of a Markdown file that call curl, without the lines that other tests run."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    lines = ([line for line in block.splitlines() if not line.startswith(("make", "reelgraph"))] for block in blocks)
    return ["\n".join(block) for block in lines if any("curl" in line for line in block)]


@pytest.fixture
def shell(api, video, tmp_path):
    """Runs a block in a folder with the videos that examples name; curl fails where the service refuses."""
    need_program("curl", "apt-get install curl")
    here = tmp_path / "here"
    here.mkdir()
    for name in ("reel.mp4", "one.mp4"):
        shutil.copy(video, here / name)
    (here / ".curlrc").write_text("fail-with-body\n")

    def run(block):
        assert WRITTEN in block
        script = block.replace(WRITTEN, f"http://127.0.0.1:{api.port}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=here,
            env={**os.environ, "CURL_HOME": str(here)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, here

    return run


def test_the_readme_hands_in_a_video(api, shell):
    """The README's curl command is accepted: the answer is a job that the service knows."""
    (block,) = examples("README.md")
    said, _ = shell(block)
    assert api.wait(json.loads(said)["id"])["state"] in ("completed", "completed_with_errors")


def test_the_way_from_a_video_to_its_document(api, shell):
    """The block of docs/api.md runs from its first line to its last: it follows the job, leaves subtitles and a
    picture, and deletes the job.
    """
    (block,) = examples("docs/api.md")
    said, here = shell(block)
    job = re.search(r'"id":"([0-9a-f-]{36})"', said)[1]
    assert "event: closed" in said
    assert '"schema_version":' in said
    assert (here / "frame.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (here / "reel.srt").exists()
    assert api.get(f"/v1/jobs/{job}").refusal == (404, "unknown_job")
