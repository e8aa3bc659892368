"""One broker, one set of workers and one server for all tests of the API."""

import zlib

import pytest

from tests.support.api import serving
from tests.support.jobs import running
from tests.support.moving import texture, write_video


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    """Ready workers with the analyzers that misbehave on request, and without the models that no test here needs."""
    data = tmp_path_factory.mktemp("api") / "data"
    with running(data, groups={"light"}, probe=True, weights_dir=data.parent / "no-weights") as stack:
        yield stack


@pytest.fixture(scope="package")
def api(stack):
    """A server that needs no key."""
    with serving(stack) as client:
        yield client


@pytest.fixture
def video(tmp_path, request):
    """Two seconds of a still picture, different for every test: nothing is in the cache."""
    seed = zlib.crc32(request.node.name.encode())
    return write_video(tmp_path / "clip.mp4", [texture(seed, 120, 160)] * 60)
