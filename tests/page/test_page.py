"""The page in real Chromium: what a person does with a video, from dropping it to taking subtitles home."""

import io
import re
import wave

import pysubs2
import pytest
from playwright.sync_api import expect

from services.exports.registry import formats
from shared.keys import Keys
from tasks.node import ledger
from tests.support.api import serving
from tests.support.browser import faults, opened, settled, until
from tests.support.processes import eventually

pytestmark = [pytest.mark.weights, pytest.mark.slow]

ANALYSIS_MS = 240_000
FRAME = 1 / 30
"""Both reels have 30 frames a second."""


def test_a_video_is_handed_in_and_followed(browser, site, sample, tmp_path):
    """A file that is chosen is uploaded, its analyzers are seen at work, on a phone without anything that sticks out
    sideways, a lane shows up before the end, the job ends completed and is in the list; no other host was asked and
    nothing went wrong in the browser.
    """
    new = tmp_path / "sample.mp4"
    new.write_bytes(sample.read_bytes() + (8).to_bytes(4) + b"free")  # an empty box: nothing of it is in the cache
    with opened(browser, site) as (page, seen):
        page.goto("/")
        page.locator("input[type=file]").set_input_files(new)
        states = page.get_by_test_id("states")
        expect(states.locator(".running").first).to_be_visible()
        for width in (320, 390, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("[data-lane]").first.wait_for(timeout=ANALYSIS_MS)
        assert page.locator(".job-bar .chip").inner_text() == "running"
        expect(page.locator(".job-bar .chip")).to_have_text("completed", timeout=ANALYSIS_MS)
        expect(states).to_have_count(0)
        page.get_by_role("link", name="Reelgraph: all jobs").click()
        expect(page.locator(".job-card", has_text="sample.mp4").first).to_contain_text("completed")
        assert seen.complaints == []
        assert seen.hosts == {site.removeprefix("http://")}


def test_refused_events_are_asked_for_again(browser, analysed):
    """Where the stream of events is answered with an error the page says so, asks again, and follows to the end."""
    may, refused, asked_again = [], [], []

    def answer(route):
        (asked_again if may else refused).append(route)
        route.continue_() if may else route.fulfill(status=503)

    with opened(browser, analysed.site) as (page, _):
        view = page.request.get(f"/v1/jobs/{analysed.job}").json()
        page.route("**/events", answer)
        page.route(
            f"**/v1/jobs/{analysed.job}",
            lambda route: route.fulfill(json=view if asked_again else view | {"state": "running"}),
        )
        page.goto(f"/#/jobs/{analysed.job}")
        expect(page.locator(".progress header p")).to_contain_text("the connection broke, trying again")
        assert eventually(lambda: page.evaluate("true") and len(refused) > 1, 60)
        may.append(True)
        expect(page.locator(".job-bar .chip")).to_have_text(view["state"].replace("_", " "))
        expect(page.locator(".progress")).to_have_count(0)


def test_a_picture_that_is_put_off_is_asked_for_again(browser, analysed):
    """Where the service makes too many pictures just now the page asks again, and shows them all."""
    refused = set()

    def answer(route):
        if route.request.url in refused:
            route.continue_()
        else:
            refused.add(route.request.url)
            route.fulfill(status=503, headers={"Retry-After": "5"})

    with opened(browser, analysed.site) as (page, seen):
        page.route("**/frames/**", answer)
        page.goto(f"/#/jobs/{analysed.job}")
        page.locator(".film img").first.wait_for()
        until(page, "[...document.querySelectorAll('.film img')].every(one => one.naturalWidth > 0)")
        assert refused
        assert [said for said in seen.complaints if "/frames/" not in said] == []


def test_no_picture_is_asked_of_sound(browser, client, site):
    """The list shows a job on sound alone without asking for a frame of it: nothing is complained about."""
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16_000)
            sound.writeframes(bytes(64_000))
        job = client.hand_in(file.getvalue(), name="sound.wav", analyzers="audio_analysis").json["id"]
    client.wait(job)
    with opened(browser, site) as (page, seen):
        page.goto("/")
        expect(page.locator(f".job-card[href$='{job}']")).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert seen.complaints == []


def test_a_dropped_file_that_is_no_video_is_refused_in_a_sentence(browser, site):
    """A file that is dropped on the page is sent; the API's refusal is shown, and another file can be chosen."""
    with opened(browser, site) as (page, _):
        page.goto("/")
        dropped = page.evaluate_handle("""() => {
          const data = new DataTransfer();
          data.items.add(new File(["no video at all"], "notes.mp4", { type: "video/mp4" }));
          return data;
        }""")
        page.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})
        expect(page.get_by_role("alert")).to_have_text(re.compile(r"^notes\.mp4: this is not a video"))
        expect(page.get_by_text("Drop a video here")).to_be_visible()


def test_the_page_counts_analyzers_as_the_service_does(browser, site, client):
    """How many analyzers there are, and how many of them can run here, is said alike above and in the list."""
    listed = client.get("/v1/analyzers").json
    able = sum(one["available"] for one in listed)
    assert able < len(listed)
    with opened(browser, site) as (page, _):
        page.goto("/")
        expect(page.locator(".lead")).to_contain_text(f"{able} of {len(listed)} analyzers can run here")
        summary = page.locator(".chooser summary")
        expect(summary).to_contain_text(f"{len(listed)} of {len(listed)} chosen, {able} of them can run here")
        summary.click()
        page.get_by_role("button", name="None").click()
        page.get_by_label("cut analysis").check()
        expect(summary).to_have_text(f"Analyzers 1 of {len(listed)} chosen")


def test_every_track_has_a_named_lane_and_every_series_a_chart(reading, analysed):
    """Each track of the document but numbers has its lane, named; those of nothing found can be hidden. Each series, of
    sound, motion and colour too, has its chart.
    """
    drawn = {track["id"]: track for track in analysed.document["tracks"] if track["kind"] != "scalar"}
    lanes = reading.locator("[data-lane]")
    assert {lane.get_attribute("data-lane") for lane in lanes.all()} == set(drawn)
    for name, track in drawn.items():
        said = reading.locator(f"[data-lane='{name}'] .row-name b").inner_text()
        assert said == track["id"].split("/")[1].replace("_", " ")
    reading.locator(".switch", has_text="Empty lanes").click()
    full = {
        name for name, track in drawn.items() if any(one is not None for one in track.get("items", track.get("values")))
    }
    expect(lanes).to_have_count(len(full))
    reading.get_by_role("tab", name="Charts").click()
    series = [name for name, track in drawn.items() if track["kind"] == "series"]
    assert {"audio_analysis/loudness", "camera_analysis/movement", "color_analysis/brightness"} <= set(series)
    expect(reading.locator("figure.chart")).to_have_count(len(series))


def test_fingers_do_what_the_mouse_does(browser, analysed):
    """On a phone a tap on a lane goes there, and two fingers that part zoom the timeline."""
    with opened(browser, analysed.site, width=390, touch=True) as (page, seen):
        page.goto(f"/#/jobs/{analysed.job}")
        plot = page.locator("[data-lane='cut_analysis/shots'] .plot")
        plot.wait_for()
        until(page, "document.querySelector('video').readyState >= 2")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.touchscreen.tap(middle, y)
        assert settled(page) == pytest.approx(analysed.document["media"]["duration_seconds"] / 2, abs=0.05)
        shown = page.locator(".timeline header p")
        whole = shown.inner_text()
        fingers = page.context.new_cdp_session(page)
        for apart, kind in ((20, "touchStart"), (40, "touchMove"), (80, "touchMove"), (None, "touchEnd")):
            points = [] if apart is None else [{"x": middle + side * apart, "y": y} for side in (-1, 1)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        expect(shown).not_to_have_text(whole)
        assert seen.complaints == []


def test_a_click_on_the_timeline_goes_there(reading, analysed):
    """Clicking a lane at two thirds of its width moves the video, the clock and the playhead to that moment."""
    plot = reading.locator("[data-lane='cut_analysis/shots'] .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    reading.mouse.click(box["x"] + box["width"] * 2 / 3, box["y"] + box["height"] / 2)
    wanted = analysed.document["media"]["duration_seconds"] * 2 / 3
    assert settled(reading) == pytest.approx(wanted, abs=0.05)
    head = reading.get_by_test_id("playhead").bounding_box()
    assert head["x"] + head["width"] / 2 == pytest.approx(box["x"] + box["width"] * 2 / 3, abs=6)


def test_a_spoken_word_is_found_and_gone_to(reading, analysed):
    """Searching a word leads, by keyboard alone, to the moment at which the transcript says that it is spoken."""
    words = [word for line in analysed.track("speech_transcription/segments")["items"] for word in line["words"]]
    wanted = next(word for word in words if "country" in word["text"].lower())
    reading.keyboard.press("/")
    reading.keyboard.type("COUNTRY")
    expect(reading.get_by_role("region", name="Said").get_by_role("button").first).to_contain_text("country")
    reading.keyboard.press("ArrowDown")
    reading.keyboard.press("Enter")
    assert settled(reading) == pytest.approx(wanted["start"], abs=0.002)


def test_words_are_reached_by_mouse_and_keyboard(reading, analysed):
    """A click on a text on screen goes to it; the Tab key stops at one line of what is said, from which arrows lead to
    each word and each other line.
    """
    reading.get_by_role("tab", name="Words").click()
    caption = analysed.track("text_overlay/captions")["items"][-1]
    written = reading.get_by_role("region", name="Written on screen")
    written.get_by_text(caption["text"], exact=True).last.click()
    assert settled(reading) == pytest.approx(caption["start"], abs=0.002)
    lines = analysed.track("speech_transcription/segments")["items"]
    said = reading.get_by_role("region", name="Said")
    expect(said.locator("[tabindex='0']")).to_have_count(1)
    said.locator("[tabindex='0']").focus()
    reading.keyboard.press("End")
    reading.keyboard.press("Home")
    for word in lines[0]["words"][:3]:
        reading.keyboard.press("ArrowRight")
        assert settled(reading) == pytest.approx(word["start"], abs=0.002)
    reading.keyboard.press("ArrowLeft")
    assert settled(reading) == pytest.approx(lines[0]["words"][1]["start"], abs=0.002)
    reading.keyboard.press("ArrowDown")
    expect(said.get_by_role("button").nth(min(1, len(lines) - 1))).to_be_focused()


def test_subtitles_are_downloaded(reading, analysed, tmp_path):
    """The SRT that the menu gives holds what the document says was said."""
    reading.locator(".menu summary").click()
    with reading.expect_download() as download:
        reading.get_by_role("link", name="SRT what is said").click()
    assert download.value.suggested_filename.endswith(".srt")
    lines = pysubs2.load(str(download.value.path())).events
    said = "".join(line["text"] for line in analysed.track("speech_transcription/segments")["items"])
    assert "".join("".join(line.plaintext for line in lines).split()) == "".join(said.split())


def test_every_download_of_the_menu_is_there(reading):
    """Each link of the menu gives a file."""
    reading.locator(".menu summary").click()
    links = [link.get_attribute("href") for link in reading.locator(".downloads a").all()]
    assert {link.split("/export/")[1].split("?")[0] for link in links if "/export/" in link} == set(formats())
    for link in links:
        answer = reading.request.head(link)
        assert answer.ok, f"{link}: {answer.status}"


def test_boxes_are_drawn_and_each_kind_has_its_switch(reading, analysed):
    """At a moment with a face, pixels of the overlay are painted; with every switch off there is none."""
    face = analysed.track("face_detection/faces")["items"][0]
    painted = """(() => {
      const canvas = document.querySelector('canvas.overlay');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value, index) => index % 4 === 3 && value > 0);
    })()"""
    reading.goto(f"/#/jobs/{analysed.job}?t={face['boxes'][0]['t'] + 0.1:.2f}")
    until(reading, painted)
    switches = reading.locator(".switch:has(input:checked:enabled)")
    while switches.count():
        switches.first.click()
    until(reading, f"!{painted}")
    reading.locator(".switch", has_text="Faces").click()
    until(reading, painted)


def test_the_wheel_zooms_around_the_pointer(reading):
    """After a turn of the wheel less is shown, and what lies under the pointer is what lay there before."""
    plot = reading.locator("[data-lane='cut_analysis/shots'] .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    reading.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    before = reading.locator(".tip .num").inner_text()
    shown = reading.locator(".timeline header p").inner_text()
    reading.mouse.wheel(0, -400)
    expect(reading.locator(".timeline header p")).not_to_have_text(shown)
    reading.mouse.move(box["x"] + box["width"] * 0.7 + 1, box["y"] + box["height"] / 2)
    assert seconds(reading.locator(".tip .num").inner_text()) == pytest.approx(seconds(before), abs=0.05)
    reading.keyboard.press("0")
    expect(reading.locator(".timeline header p")).to_have_text(shown)


def test_keys_play_and_step(reading):
    """A full stop moves by one frame, a comma back, space plays and stops, an arrow moves by a second."""
    for key, wanted in ((".", 1.5 * FRAME), (".", 2.5 * FRAME), (",", 1.5 * FRAME), ("ArrowRight", 1 + 1.5 * FRAME)):
        reading.keyboard.press(key)
        assert settled(reading) == pytest.approx(wanted, abs=FRAME * 0.6), key
    reading.keyboard.press("Space")
    until(reading, "document.querySelector('video').currentTime > 1.5")
    reading.keyboard.press("Space")
    assert reading.evaluate("document.querySelector('video').paused")
    reading.keyboard.press("?")
    expect(reading.get_by_role("dialog", name="Keys")).to_be_visible()


def test_keys_shuttle_as_editors_know_it(reading, analysed):
    """L plays, again faster, K stops, J goes backwards; the list of speeds shows and sets the speed."""
    reading.goto(f"/#/jobs/{analysed.job}?t=5")
    until(reading, "document.querySelector('video').currentTime > 4.9")
    reading.keyboard.press("l")
    until(reading, "document.querySelector('video').currentTime > 5.1")
    reading.keyboard.press("l")
    expect(reading.get_by_label("Speed")).to_have_value("1.5")
    assert reading.evaluate("document.querySelector('video').playbackRate") == 1.5
    reading.keyboard.press("k")
    until(reading, "document.querySelector('video').paused")
    stopped = settled(reading)
    reading.keyboard.press("j")
    until(reading, f"document.querySelector('video').currentTime < {stopped - 0.1}")
    reading.keyboard.press("k")
    reading.get_by_label("Speed").select_option("0.5")
    assert reading.evaluate("document.querySelector('video').playbackRate") == 0.5


BREAKS = """() => {
  const late = Date.now() + 60_000, video = document.querySelector("video");
  Date.now = () => late;
  video.addEventListener("loadedmetadata", () => (video.title = "opened again"));
  video.dispatchEvent(new Event("error"));
}"""


def test_a_video_whose_address_has_ended_is_asked_for_again(reading, analysed):
    """An error long after the video was opened opens it again, where it stood; one right after that is the file's."""
    reading.goto(f"/#/jobs/{analysed.job}?t=5")
    until(reading, "document.querySelector('video').currentTime > 4.9")
    reading.evaluate(BREAKS)
    until(reading, "document.querySelector('video[title]')?.readyState >= 2")
    assert reading.evaluate("document.querySelector('video').currentTime") == pytest.approx(5, abs=0.1)
    expect(reading.get_by_text("cannot play this file")).to_have_count(0)
    reading.evaluate("document.querySelector('video').dispatchEvent(new Event('error'))")
    expect(reading.get_by_text("cannot play this file")).to_be_visible()


def test_the_moment_lists_what_is_there(reading, analysed):
    """The inspector names the line that is said and the text that stands on screen at the playhead."""
    caption = analysed.track("text_overlay/captions")["items"][0]
    middle = (caption["start"] + caption["end"]) / 2
    reading.goto(f"/#/jobs/{analysed.job}?t={middle:.2f}")
    expect(reading.get_by_test_id("moment")).to_contain_text(caption["text"])


def test_what_is_missing_is_said_with_its_reason(reading, analysed):
    """The list of analyzers gives the document's own reason for each one that did not run."""
    reading.get_by_role("tab", name="Analyzers").click()
    for report in analysed.document["analyzers"]:
        if report["error"]:
            expect(reading.get_by_role("tabpanel")).to_contain_text(report["error"]["message"].replace("`", ""))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 1920])
def test_it_is_for_everyone(browser, analysed, width, dark):
    """axe-core finds nothing, contrast of all text too, on the list of jobs, behind any tab of a job, in its menu,
    search, lists of items and keys; and nothing sticks out sideways.
    """
    with opened(browser, analysed.site, width=width, dark=dark) as (page, _):
        page.goto("/")
        page.locator(".job-card").first.wait_for()
        page.locator(".chooser summary").click()
        assert faults(page) == []
        page.goto(f"/#/jobs/{analysed.job}")
        for tab in page.get_by_role("tab").all():
            tab.click()
            page.wait_for_load_state("networkidle")
            assert faults(page) == []
        page.locator("[data-lane='cut_analysis/shots'] .row-name").click()
        page.get_by_label("Search in this video").fill("country")
        page.locator(".hit").first.wait_for()
        assert faults(page) == []
        page.locator(".menu summary").click()
        assert faults(page) == []
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_with_keys_the_page_asks_for_one(browser, stack, sample):
    """Where keys are needed a wrong one is refused, and the right one opens the list, a job and its video."""
    token = Keys(ledger()).create("page", scopes=("read", "write")).token
    with serving(stack, require_keys=True) as client, opened(browser, f"http://127.0.0.1:{client.port}") as (page, _):
        job = client.with_key(token).hand_in(sample).json["id"]
        page.goto(f"/#/jobs/{job}")
        for key in ("rg_wrong", token):
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Sign in").click()
            if key != token:
                expect(page.get_by_role("alert")).to_be_visible()
        until(page, "(document.querySelector('video')?.readyState ?? 0) >= 1")


def seconds(clock: str) -> float:
    """`0:03.52` in seconds."""
    minutes, _, rest = clock.partition(":")
    return 60 * int(minutes) + float(rest)
