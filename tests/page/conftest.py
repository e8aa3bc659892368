"""The page over real workers with real models, in a real browser, with an analysed reel."""

import os
import sys
import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from services.demo import PINS, Assets, compose_sample
from services.leash import start
from shared.settings import settings
from shared.weights import Weights
from tests.support.api import Client, serving
from tests.support.browser import chromium, opened, until
from tests.support.jobs import running
from tests.support.processes import eventually
from tests.support.real import real_clip


@dataclass(frozen=True)
class Analysed:
    """A reel that the page was given: its job and its document."""

    site: str
    job: str
    document: Any

    def track(self, name: str) -> Any:
        """A track of the document."""
        return next(track for track in self.document["tracks"] if track["id"] == name)


@pytest.fixture(scope="package")
def stack(tmp_path_factory):
    """Broker and every worker of the local profile."""
    with running(tmp_path_factory.mktemp("page") / "data") as stack:
        yield stack


@pytest.fixture(scope="package")
def flower(stack):
    """The socket of a Flower beside the workers."""
    with tempfile.TemporaryDirectory(prefix="reelgraph-") as folder:  # a path of 107 bytes at most
        socket = Path(folder) / "flower"
        argv = [sys.executable, "-m", "services.cli", "flower", "--socket", str(socket)]
        with (stack.logs / "flower.log").open("ab") as output:
            process = start(argv, env={**os.environ, **stack.settings.environment()}, stdout=output)
        try:
            yield socket
        finally:
            process.stop()


@pytest.fixture(scope="package")
def client(stack, flower):
    """A server that needs no key, with everything that `reelgraph serve` has."""
    with serving(stack, flower_socket=flower) as client:
        assert eventually(lambda: client.get("/flower/healthcheck").status == HTTPStatus.OK, 60)
        yield client


@pytest.fixture(scope="package")
def site(client: Client) -> str:
    """Its address."""
    return f"http://127.0.0.1:{client.port}"


@pytest.fixture(scope="package")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def sample(tmp_path_factory) -> Path:
    """The reel that `make demo` composes."""
    assets = Weights(settings().weights_dir.parent / "demo" / "assets", PINS)
    assets.pull(assets.entries())
    video = tmp_path_factory.mktemp("sample") / "sample.mp4"
    compose_sample(video, Assets.pinned(assets.path))
    return video


@pytest.fixture(scope="package", params=["sample.mp4", "reel.mp4"])
def analysed(request, site, client, sample) -> Analysed:
    """The sample reel, and a real one where there is one, analysed."""
    video = sample if request.param == "sample.mp4" else real_clip(request.param)
    job = client.hand_in(video, name=request.param).json["id"]
    client.wait(job, seconds=240)
    return Analysed(site, job, client.get(f"/v1/jobs/{job}/result").json)


@pytest.fixture
def reading(browser, analysed):
    """The page of the analysed reel, with its document shown."""
    with opened(browser, analysed.site) as (page, seen):
        page.goto(f"/#/jobs/{analysed.job}")
        page.get_by_role("heading", name="Timeline").wait_for()
        until(page, "document.querySelector('video').readyState >= 2")
        page.locator("[data-lane='speech_transcription/segments']").wait_for()
        yield page
        assert seen.complaints == []
        assert seen.hosts == {analysed.site.removeprefix("http://")}
