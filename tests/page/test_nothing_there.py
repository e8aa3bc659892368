"""What the page says where nothing was found, nobody looked, or nothing came of it."""

import copy
import json
import re

import pytest
from playwright.sync_api import Page, expect

from services.exports.words import number
from shared.keys import Keys
from tasks.node import ledger
from tests.support.api import serving
from tests.support.browser import opened
from tests.support.processes import eventually

pytestmark = [pytest.mark.weights, pytest.mark.slow]

DOTS = "M6 12h.01"
"""How the sign of what still runs begins (views/Icon.tsx)."""
PAINTED = """canvas => {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const has = (from, to) => {
    for (let y = 0; y < height; y++)
      for (let x = Math.ceil(from * width); x < Math.floor(to * width); x++)
        if (data[4 * (y * width + x) + 3]) return true;
    return false;
  };
  return [has(0, 0.24), has(0.26, 1)];
}"""
"""Whether anything is drawn in a lane's first quarter, and in the rest."""


def shown_as(page: Page, job: str, state: str, document: object) -> None:
    """Open a job that has ended so, with this document."""
    view = page.request.get(f"/v1/jobs/{job}").json() | {"state": state}
    page.route(f"**/v1/jobs/{job}", lambda route: route.fulfill(json=view))
    page.route(f"**/v1/jobs/{job}/result", lambda route: route.fulfill(json=document))
    page.goto(f"/#/jobs/{job}")
    page.get_by_role("heading", name="Timeline").wait_for()


def test_empty_lanes_say_where_nobody_looked(browser, analysed):
    """A lane without marks is hatched where its analyzer did not look and says for how much it did; one that looked at
    all says so.
    """
    document = copy.deepcopy(analysed.document)
    seconds = document["media"]["duration_seconds"]
    empty = {track["analyzer"]: track["id"] for track in document["tracks"] if not track.get("items", True)}
    part, none, *_, whole = empty
    spans = {part: [[0, seconds / 4]], none: [], whole: [[0, seconds]]}
    for report in document["analyzers"]:
        report["analysed"] = spans.get(report["name"], report["analysed"])
    with opened(browser, analysed.site) as (page, _):
        shown_as(page, analysed.job, "completed", document)
        lane = {name: page.locator(f"[data-lane='{track}'] .plot") for name, track in empty.items()}
        expect(lane[part]).to_have_text(f"looked at {number(seconds / 4)} s of {number(seconds)} s, found none there")
        expect(lane[none]).to_have_text("did not look")
        expect(lane[whole]).to_have_text("looked, found none")
        hatched = {part: [False, True], none: [True, True], whole: [False, False]}
        for name, wanted in hatched.items():
            canvas = lane[name].locator("canvas")
            assert eventually(lambda canvas=canvas, wanted=wanted: canvas.evaluate(PAINTED) == wanted, 10), name


def test_a_moment_names_everybody_who_did_not_look(reading, analysed):
    """Who did not look at the moment is named, those without a model too, and nobody is who says something there."""
    answer = reading.request.get(f"/v1/jobs/{analysed.job}/at?t=1").json()["analyzers"]
    blind = {one["analyzer"] for one in answer if not one["looked"] and not one["tracks"]}
    lacking = {one["name"] for one in analysed.document["analyzers"] if one["status"] == "unavailable"}
    assert lacking
    assert lacking <= blind
    reading.goto(f"/#/jobs/{analysed.job}?t=1")
    reading.locator(".moment .at", has_text="0:01.00").wait_for()
    named = reading.locator(".moment .names", has_text="Did not look here").inner_text().partition(": ")[2]
    assert set(named.split(", ")) == {name.replace("_", " ") for name in blind}


def test_a_job_that_came_to_nothing_says_so(browser, analysed):
    """Where every analyzer timed out the page says it in a sentence that leads to the reasons, under a sign that is not
    that of a job still running.
    """
    document = copy.deepcopy(analysed.document)
    error = {"code": "timeout", "message": "it was stopped after 0.3 s", "retryable": True}
    for report in document["analyzers"]:
        report.update(status="timeout", analysed=[], error=error)
    document["tracks"] = []
    with opened(browser, analysed.site) as (page, seen):
        shown_as(page, analysed.job, "completed_with_errors", document)
        panel = page.get_by_role("tabpanel")
        expect(panel).to_contain_text(f"No analyzer gave a result: {len(document['analyzers'])} timed out.")
        assert not page.locator(".job-bar .chip path").get_attribute("d").startswith(DOTS)
        panel.get_by_role("button").click()
        expect(page.get_by_role("tab", name="Analyzers")).to_have_attribute("aria-selected", "true")
        expect(panel).to_contain_text(error["message"])
        assert seen.complaints == []


def test_each_analyzer_has_its_numbers_under_one_heading(reading, analysed):
    """Insights name each analyzer that gives numbers once, and tell its tracks apart where it has several."""
    tracks = [track for track in analysed.document["tracks"] if track["kind"] == "scalar"]
    headings = reading.locator(".numbers h4").all_inner_texts()
    assert len(headings) == len(set(headings)) == len({track["analyzer"] for track in tracks})
    assert {"signals", "short form"} <= set(reading.locator(".numbers h5").all_inner_texts())


def test_the_menu_promises_what_is_in_the_file(reading, analysed):
    """COCO has boxes and no masks, and the menu says no more."""
    reading.locator(".menu summary").click()
    link = reading.get_by_role("link", name="COCO")
    expect(link).to_have_text("COCO boxes, by frame")
    annotations = json.loads(reading.request.get(link.get_attribute("href")).body())["annotations"]
    assert all(len(one["bbox"]) == 4 for one in annotations)
    assert not any(one["segmentation"] for one in annotations)


def test_workers_are_shown_to_who_may_see_them(browser, site, stack):
    """The link to Flower leads to it; it is not there without Flower, nor for a key without the scope."""
    with opened(browser, site) as (page, seen):
        page.goto("/")
        page.get_by_role("link", name="Workers").click()
        expect(page).to_have_title(re.compile("Flower"))
        assert seen.complaints == []
    token = Keys(ledger()).create("reader", scopes=("read", "write")).token
    for needs_key in (False, True):
        with (
            serving(stack, require_keys=needs_key) as client,
            opened(browser, f"http://127.0.0.1:{client.port}") as (page, _),
        ):
            page.goto("/")
            if needs_key:
                page.get_by_label("API key").fill(token)
                page.get_by_role("button", name="Sign in").click()
            page.get_by_role("link", name="API").wait_for()
            page.wait_for_load_state("networkidle")
            expect(page.get_by_role("link", name="Workers")).to_have_count(0)
