"""Uploads over bad links: nothing is sent twice, nothing is given up that could go on, and no second job is made."""

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.support.browser import opened, until

pytestmark = [pytest.mark.weights, pytest.mark.slow]

HANDED_IN = "**/v1/jobs"
OPENED = "location.hash.startsWith('#/jobs/')"


def sent(page: Page) -> list[Request]:
    """What the page will send other than questions, in order, as it grows."""
    requests: list[Request] = []
    page.on("request", lambda one: requests.append(one) if one.method in ("POST", "PATCH") else None)
    return requests


def choose(page: Page, video: object) -> None:
    """Choose a file to hand in."""
    page.locator("input[type=file]").set_input_files(str(video))


def test_an_upload_waits_for_the_link(browser, site, sample):
    """A browser that calls itself offline waits, says so, and sends the video as soon as it is online again."""
    with opened(browser, site) as (page, _):
        page.goto("/")
        page.locator(".choose").wait_for()
        page.context.set_offline(True)
        choose(page, sample)
        expect(page.locator(".sent [role=status]")).to_contain_text("goes on by itself as soon as it is back")
        page.context.set_offline(False)
        until(page, OPENED)


def test_a_lost_answer_makes_no_second_job(browser, site, client, sample):
    """The answer to a hand-in that got through is lost: the page asks again, and shows the one job that was made."""
    lost: list[str] = []

    def lose_one(route: Route) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().json()["id"])
            route.abort()
        else:
            route.continue_()

    before = len(client.get("/v1/jobs?limit=200").json["jobs"])
    with opened(browser, site) as (page, _):
        requests = sent(page)
        page.route(HANDED_IN, lose_one)
        page.goto("/")
        choose(page, sample)
        until(page, OPENED)
        assert page.url.endswith(lost[0])
        assert len(client.get("/v1/jobs?limit=200").json["jobs"]) == before + 1
        keys = [one.headers["idempotency-key"] for one in requests if one.url.endswith("/v1/jobs")]
        assert len(keys) == 2
        assert len(set(keys)) == 1


def test_a_video_that_arrived_is_not_sent_again(browser, site, sample):
    """All bytes are there and the hand-in does not get through: choosing the file again, on the page opened anew, hands
    it in without sending a byte; once it is a job its upload is forgotten.
    """
    with opened(browser, site) as (page, _):
        requests = sent(page)
        page.route(HANDED_IN, lambda route: route.abort() if route.request.method == "POST" else route.continue_())
        page.goto("/")
        choose(page, sample)
        expect(page.locator(".sent [role=status]")).to_contain_text("goes on by itself as soon as it is back")
        assert "PATCH" in {one.method for one in requests}
        page.reload()
        page.unroute(HANDED_IN)
        requests.clear()
        choose(page, sample)
        until(page, OPENED)
        assert [one.url.rpartition("/v1/")[2] for one in requests] == ["jobs"]
        assert page.evaluate("Object.keys(localStorage).filter((one) => one.startsWith('tus')).length") == 0
