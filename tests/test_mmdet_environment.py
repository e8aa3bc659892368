"""The environment of the mmdet worker: built from its requirements upon this one, and its tests run in it."""

import os
import subprocess
import sys
import sysconfig

import pytest

from tests.support.project import ROOT
from tests.support.tiny.store import need_torch

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(480)]


def test_mmdet_runs_in_an_environment_of_its_own(tmp_path):
    """The pinned wheels install upon this environment, and every test of the mmdet engine passes there."""
    need_torch()
    python = str(tmp_path / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True, timeout=60)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layer = tmp_path / "lib" / name / "site-packages" / "below.pth"
    layer.write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps"]
    pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", "requirements/mmdet.txt"]
    subprocess.run([*pip, *pinned], cwd=ROOT, check=True, timeout=120)
    ran = subprocess.run(
        [python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/test_mmdet_engine.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert "skipped" not in ran.stdout.splitlines()[-1]
