"""The page on screens of all sizes: nothing lies over what is to be tapped, and nothing is cut off."""

import pysubs2
import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import faults, opened, settled, until

pytestmark = [pytest.mark.weights, pytest.mark.slow]

COVERED = """(names) => [...document.querySelectorAll(names)].filter((one) => {
  one.scrollIntoView({ block: "nearest" });
  const { left, right, top, bottom } = one.getBoundingClientRect();
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  return left < 0 || right > innerWidth || !one.contains(hit);
}).map((one) => one.textContent)"""
"""What of the named elements sticks out of the screen, or has something over its middle."""

LANDSCAPE, PORTRAIT = 16 / 9, 9 / 16
CUT_OFF = """() => {
  document.querySelector(".tabs").scrollIntoView({ block: "center" });
  const panel = document.querySelector(".panels").getBoundingClientRect();
  return [...document.querySelectorAll("[role=tab]")].filter((tab) => {
    const { left, right, top, bottom } = tab.getBoundingClientRect();
    const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return left < panel.left || right > panel.right || !tab.contains(hit);
  }).map((tab) => tab.textContent);
}"""
APART = """() => [...document.querySelectorAll("[data-lane]")].filter((lane) => {
  lane.scrollIntoView({ block: "nearest" });
  const { left, right, top, bottom } = document.querySelector("video").getBoundingClientRect();
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  const isWhole = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && hit?.closest(".screen");
  return !isWhole || right > lane.getBoundingClientRect().left;
}).map((lane) => lane.dataset.lane)"""
"""Lanes that are scrolled to without the whole video beside them."""
DANGLING = """() => {
  const facts = [...document.querySelectorAll(".facts li")].filter((fact) => fact.offsetParent);
  const ends = facts.filter((fact, index) => facts[index + 1]?.offsetTop !== fact.offsetTop);
  return ends.filter((fact) => getComputedStyle(fact, "::after").content.includes("·")).map((fact) => fact.textContent);
}"""


def shown(page: Page, job: str) -> None:
    """Open a job and wait for its timeline."""
    page.goto(f"/#/jobs/{job}")
    page.locator("[data-lane='cut_analysis/shots']").wait_for()


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_takes_subtitles_home_and_finds_words(browser, analysed, width):
    """On a phone every download and every hit of a search can be tapped: the SRT comes as a file, a hit leads to its
    moment and gives the video free.
    """
    with opened(browser, analysed.site, width=width, touch=True) as (page, seen):
        shown(page, analysed.job)
        page.locator(".menu summary").tap()
        assert page.evaluate(COVERED, ".downloads a") == []
        with page.expect_download() as download:
            page.get_by_role("link", name="SRT what is said").tap()
        assert len(pysubs2.load(str(download.value.path())).events) > 0
        page.get_by_label("Search in this video").tap()
        page.get_by_label("Search in this video").fill("o")
        page.locator(".hit").first.wait_for()
        assert page.evaluate(COVERED, ".hit") == []
        line = analysed.track("speech_transcription/segments")["items"][-1]
        page.get_by_label("Search in this video").fill(line["text"].strip())
        page.locator(".hit").first.tap()
        assert settled(page) == pytest.approx(line["words"][0]["start"], abs=0.002)
        expect(page.locator(".results")).to_have_count(0)
        assert seen.complaints == []


def still_open(page: Page, job: str) -> None:
    """Open a job as it was while it waited: everybody queued, a long way to go, nobody tells of events."""
    view = page.request.get(f"/v1/jobs/{job}").json()
    waiting = [one | {"status": "queued", "error": None} for one in view["analyzers"]]
    waiting[0]["status"] = "unavailable"
    begun = {"state": "running", "queue_position": 117, "eta_seconds": 7384.5, "progress": 0.0, "analyzers": waiting}
    page.route(f"**/v1/jobs/{job}", lambda route: route.fulfill(json=view | begun))
    page.route(f"**/v1/jobs/{job}/events", lambda route: route.fulfill(status=503))
    page.goto(f"/#/jobs/{job}")
    expect(page.locator(".progress header p")).to_contain_text("place 117 in the queue")
    expect(page.locator(".progress header p")).to_contain_text("trying again")


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_a_job_that_waits(browser, analysed, width):
    """While a job is open nothing of the page sticks out of a phone's screen, however much there is to say about it."""
    with opened(browser, analysed.site, width=width, touch=True) as (page, _):
        still_open(page, analysed.job)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faults(page) == []


@pytest.mark.parametrize("aspect", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
def test_the_video_stays_in_sight_of_every_lane(browser, analysed, aspect):
    """On wide screens whoever scrolls to a lane sees the whole video beside it, neither over the other, and a click on
    the last lane is seen to move it.
    """
    with opened(browser, analysed.site) as (page, seen):
        shown(page, analysed.job)
        until(page, "document.querySelector('video').readyState >= 2")
        page.evaluate("aspect => document.querySelector('.work').style.setProperty('--aspect', aspect)", str(aspect))
        for width, height in ((1024, 768), (1280, 800), (1440, 900), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(APART) == [], width
            assert page.evaluate(COVERED, ".lane .row-name") == [], width
        plot = page.locator("[data-lane] .plot").last
        box = plot.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert settled(page) == pytest.approx(analysed.document["media"]["duration_seconds"] / 2, abs=0.05)
        assert seen.complaints == []


@pytest.mark.parametrize("aspect", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
def test_every_tab_is_whole(browser, analysed, aspect):
    """From phone to television no tab is cut off, and no line of facts about the video ends in a separator."""
    with opened(browser, analysed.site) as (page, _):
        shown(page, analysed.job)
        page.evaluate("aspect => document.querySelector('.work').style.setProperty('--aspect', aspect)", str(aspect))
        for width in (320, 390, 768, 1024, 1344, 1366, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(CUT_OFF) == [], width
            assert page.evaluate(DANGLING) == [], width
            assert page.evaluate("document.documentElement.scrollWidth") <= width
