"""The page's source: its own tests, its types against the API's document, and what it is built into."""

import json
import os
import re
import subprocess

import pytest

from services.api import create_app
from services.api.site import PAGE_POLICY, built_page
from tests.support.project import ROOT
from tests.support.system import missing, need_program

WEB = ROOT / "services" / "web"
NAMESPACES = re.compile(r"https?://www\.w3\.org/[0-9A-Za-z/]*")


def npm(*words):
    """Run npm in the page's folder; its output. What npm was told by a user's settings does not matter here."""
    program = need_program("npm", "apt-get install npm")
    if not (WEB / "node_modules" / ".installed").exists():
        missing("the page's packages are not installed; get them with: make page")
    done = subprocess.run(
        [program, *words], cwd=WEB, env=os.environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_logic_is_right():
    """The page's own tests of times, lanes, search and boxes pass, and there are some."""
    assert re.search(r"# pass [1-9]\d+", npm("test"))


def test_page_and_api_fit(monkeypatch):
    """Types made from the OpenAPI document of this very API carry the whole page: neither can drift from the other."""
    document = create_app().test_client().get("/openapi.json", headers={"Host": "localhost"}).json
    (WEB / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    npm("run", "types")


def test_the_built_page_knows_no_other_host():
    """Neither the script nor the style sheet nor the HTML holds an address, but for the names of XML namespaces."""
    if not (built_page() / "index.html").is_file():
        missing("the page is not built; get it with: make page")
    files = [path for path in built_page().rglob("*") if path.suffix in (".html", ".js", ".css", ".svg")]
    assert {path.suffix for path in files} == {".html", ".js", ".css", ".svg"}
    for path in files:
        text = NAMESPACES.sub("", path.read_text(encoding="utf-8"))
        assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}[^\s\"'`]*", text) == [], path.name


def test_the_policy_allows_nothing_inline():
    """The page is served with a policy by which the browser loads from this service alone and runs nothing inline."""
    if not (built_page() / "index.html").is_file():
        missing("the page is not built; get it with: make page")
    answer = create_app().test_client().get("/", headers={"Host": "localhost"})
    assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert "default-src 'none'" in PAGE_POLICY
    assert re.search(rb"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.data) is None


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_packages_are_pinned_and_name_no_place(name):
    """Every package of the page has one version and, in the lock file, a hash, and comes from the user's registry."""
    text = (WEB / name).read_text(encoding="utf-8")
    known = json.loads(text)
    if name == "package.json":
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", one) for one in known["dependencies"].values())
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", one) for one in known["devDependencies"].values())
        return
    packages = [one for path, one in known["packages"].items() if path]
    assert packages
    assert all(one["integrity"].startswith("sha512-") for one in packages)
    assert not any("resolved" in one for one in packages)
