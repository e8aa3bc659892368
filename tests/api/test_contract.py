"""The OpenAPI document against the live service: schemathesis makes good and bad requests of it and checks answers."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.api import log_of
from tests.support.contract.hooks import PREFIX
from tests.support.project import ROOT

CONFIG = ROOT / "tests" / "support" / "contract" / "schemathesis.toml"
SECONDS = 270
LOGGED = re.compile(r"method=(\S+) path=(\S+) .*status=(2\d\d)")
UNLOGGED = {"/healthz", "/readyz", "/metrics"}


def reached(document, log):
    """Which operations of the document were answered with success by what the server has logged."""
    answered = {match.group(1, 2) for match in map(LOGGED.search, log.splitlines()) if match}
    return {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if any(
            method.upper() == one and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), where) for one, where in answered
        )
    }


@pytest.mark.slow
def test_the_service_is_what_its_document_says(api, stack, video):
    """No request that schemathesis makes of the document, good or bad, is answered with a server's error or with what
    the document does not say; its good requests succeed at every operation.
    """
    job, doomed = (api.wait(api.hand_in(video, analyzers="color_analysis").json["id"])["id"] for _ in range(2))
    tus = {"Tus_Resumable": "1.0.0", "Upload_Length": "1000"}
    uploads = [api.call("POST", "/v1/uploads", **tus).headers["location"].rpartition("/")[2] for _ in range(2)]
    there_is = {"JOB": job, "DOOMED_JOB": doomed, "UPLOAD": uploads[0], "DOOMED_UPLOAD": uploads[1]}
    before = len(log_of(stack, api))
    url = f"http://127.0.0.1:{api.port}/openapi.json"
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", CONFIG, "run", url, "--seed", "1"],
        env={**os.environ, **{f"{PREFIX}{name}": value for name, value in there_is.items()}},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    document = api.get("/openapi.json").json
    found = reached(document, log_of(stack, api)[before:])
    asked = {(method, path) for path, item in document["paths"].items() for method in item if path not in UNLOGGED}
    assert found == asked
