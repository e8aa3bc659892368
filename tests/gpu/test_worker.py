"""A real worker on a real GPU, with a tiny model: memory that runs out, and a failed kernel, in mid-batch."""

import pytest

from tests.gpu.conftest import need_gpu
from tests.support import failing
from tests.support.failing import ATTEMPTS, SHARE_MIB, Captioning
from tests.support.jobs import running
from tests.support.moving import texture, write_video
from tests.support.tiny.captions import blip2
from tests.support.tiny.store import tiny_weights

ENTRY = "tiny-blip-2"
SECONDS = 8
"""Of the video: the captioner looks at one picture a second, at all of them in one batch."""


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """Broker, control and the captioner's worker, which may use 2 GiB of the GPU and has its loop recorded."""
    need_gpu()
    folder = tmp_path_factory.mktemp("worker")
    weights = tiny_weights(folder, {ENTRY: blip2}, engine="blip-2")
    video = write_video(folder / "video.mp4", (texture(n // 4, 364, 364) for n in range(4 * SECONDS)), fps=4)
    chosen = {
        "profile": "gpu",
        "weights_dir": weights.folder,
        "pins_file": folder / "weights.toml",
        "models": {failing.CAPTIONS: ENTRY},
        "gpu_memory_mib": SHARE_MIB,
        "max_attempts": ATTEMPTS,
        "compile": True,
    }
    with (
        failing.failing(folder / "faults"),
        running(folder / "data", groups={"caption"}, ready_seconds=300, **chosen) as stack,
    ):
        yield Captioning(stack, video, SECONDS)


def test_it_is_on_the_gpu_with_its_share(worker):
    """The tiny model is on the GPU with its loop recorded, takes all pictures at once and no more than its share."""
    told = worker.works("a photo of")
    receipt = told["receipt"]
    assert (receipt["device"], receipt["precision"], receipt["notes"]) == ("cuda:0", "bf16", [])
    assert receipt["batches"] == {ENTRY: 1}
    assert 0 < receipt["held_gpu_mib"] <= receipt["peak_gpu_mib"] <= SHARE_MIB
    assert worker.said("compiled") > 0


def test_a_batch_that_does_not_fit_is_halved(worker):
    """torch's own error in mid-batch, beyond the share of a GPU that has more: the job is ok, and so is the next."""
    failing.memory_runs_out_for_the_whole_batch(worker)


def test_a_picture_that_does_not_fit_is_one_outcome(worker):
    """Where not one picture has room the outcome says so; the same process does the next job."""
    failing.memory_runs_out_for_one_picture(worker)


def test_a_failed_kernel_costs_a_process_and_not_the_job(worker):
    """A device-side assertion in mid-batch leaves the process without its GPU: a new one loads, and does the job."""
    failing.the_gpu_is_lost_once(worker)


def test_a_kernel_that_fails_every_time_is_one_outcome(worker):
    """After the last attempt the outcome names the GPU; the next job finds a process that works."""
    failing.the_gpu_is_lost_every_time(worker)
