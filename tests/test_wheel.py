"""Tests of what is shipped: the wheel that `pip install reelgraph` would bring."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.project import PACKAGES, ROOT, pyproject, tracked
from tests.support.system import missing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without a network by the pinned build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (path,) = folder.iterdir()
    with ZipFile(path) as archive:
        yield archive


def test_wheel_holds_the_three_packages_with_their_data(wheel):
    """Every tracked file of shared, tasks and services is in it, data files too, and no other folder."""
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {str(path) for path in tracked(*PACKAGES)} <= shipped
    assert {name.split("/")[0] for name in shipped} == set(PACKAGES)


def test_wheel_brings_the_command_and_the_licence(wheel):
    """The wheel declares the console script `reelgraph` and carries the licence."""
    info = f"reelgraph-{pyproject()['project']['version']}.dist-info"
    assert "reelgraph = services.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_wheel_brings_the_built_page(wheel):
    """A page that was built before the wheel is in it, script and style sheet too: users need no Node."""
    built = ROOT / "services" / "web" / "static"
    if not (built / "index.html").is_file():
        missing("the page is not built; get it with: make page")
    files = {path.relative_to(ROOT).as_posix() for path in built.rglob("*") if path.is_file()}
    assert {name.rsplit(".")[-1] for name in files} >= {"html", "js", "css", "svg"}
    assert files <= set(wheel.namelist())
    assert not any("node_modules" in name for name in wheel.namelist())


SERVED = """
import re, services
from services.api import create_app
client = create_app().test_client()
asked = lambda path: client.get(path, headers={"Host": "localhost"})
page = asked("/")
assets = re.findall(r'"(/assets/[^"]+)"', page.text)
print(services.__file__, page.status_code, *(asked(path).status_code for path in assets))
"""


def test_the_page_is_served_from_the_wheel_where_no_node_is(wheel, tmp_path):
    """The wheel alone, unpacked, with no program in the path, answers with the page, its script, style and icon."""
    if not any(name.endswith("static/index.html") for name in wheel.namelist()):
        missing("the page is not built; get it with: make page")
    wheel.extractall(tmp_path / "wheel")
    there = {"PYTHONPATH": str(tmp_path / "wheel"), "PATH": "", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", SERVED]
    done = subprocess.run(command, cwd=tmp_path, env=there, check=True, capture_output=True, text=True, timeout=60)
    place, *answers = done.stdout.split()[-5:]
    assert Path(place).is_relative_to(tmp_path)
    assert answers == ["200"] * 4
