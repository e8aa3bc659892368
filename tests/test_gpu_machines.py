"""The tests of tests/gpu know a machine with a GPU from one without: on the first they may fail, never be skipped."""

import pytest

from tests.gpu.conftest import REQUIRE, sign_of_a_gpu


@pytest.fixture(autouse=True)
def nothing_required(monkeypatch):
    monkeypatch.delenv(REQUIRE, raising=False)


@pytest.mark.parametrize(
    "path",
    [
        "dev/nvidia0",
        "dev/nvidia7",
        "dev/nvidia12",
        "dev/nvidiactl",
        "dev/nvidia-caps/nvidia-cap1",
        "dev/dxg",
        "proc/driver/nvidia/gpus/0000:01:00.0",
        "sys/module/nvidia",
    ],
)
def test_any_node_of_the_driver_is_a_sign(tmp_path, path):
    """A container that was given the third card, a part of one, or the driver alone is a GPU machine."""
    (tmp_path / path).mkdir(parents=True)
    assert sign_of_a_gpu(tmp_path) == str(tmp_path / path)


def test_no_sign(tmp_path):
    """Other devices are none: a machine without a GPU skips."""
    for path in ("dev/null", "dev/nvme0", "dev/dri/card0", "sys/module/snd", "proc/driver/rtc"):
        (tmp_path / path).mkdir(parents=True)
    assert sign_of_a_gpu(tmp_path) is None


def test_it_can_be_demanded(tmp_path, monkeypatch):
    """A runner that should have a GPU says so."""
    monkeypatch.setenv(REQUIRE, "1")
    assert sign_of_a_gpu(tmp_path) == f"{REQUIRE}=1"
