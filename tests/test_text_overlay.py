import json
from difflib import SequenceMatcher
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from shared.schema import Caption
from tasks.analyzers.text_overlay import TextOverlay, caption
from tasks.boxes import overlap
from tasks.edges import edge_map, grow, span
from tasks.engines.texts import PpOcr
from tasks.lines import STILL_THERE, Line, plain, word_count
from tests.support.drawings import written
from tests.support.media import run
from tests.support.moving import Picture, texture, window, write_video
from tests.support.real import real_clip
from tests.support.texts import packaged

H, W, FPS = 480, 640, 12


@pytest.fixture(scope="module")
def reader() -> TextOverlay:
    analyzer = TextOverlay()
    analyzer.load(PackagedWeights())  # type: ignore[arg-type]
    return analyzer


class PackagedWeights:
    """Gives an analyzer the engine over the networks of the rapidocr package."""

    def engine(self, _kinds: object) -> PpOcr:
        return packaged()


def panning(seconds: float) -> list[Picture]:
    """A camera that moves over a picture, so that every frame differs everywhere."""
    picture = texture(11, 700, 1400)
    return [window(picture, 400 + 6 * i, 350, 1.0, H, W) for i in range(round(seconds * FPS))]


def during(frames: list[Picture], text: str, start: float, end: float, **where: float) -> list[Picture]:
    return [
        written(frame, text, **where) if start <= i / FPS < end else frame  # type: ignore[arg-type]
        for i, frame in enumerate(frames)
    ]


def read(reader: TextOverlay, frames: list[Picture], folder: Path) -> tuple[Caption, ...]:
    return run(reader, write_video(folder / "v.mp4", frames, fps=FPS), folder / "store").captions.items


def test_captions_over_moving_pictures_have_their_times_and_places(reader: TextOverlay, tmp_path: Path) -> None:
    """Two captions over a moving camera are read letter by letter, with times within 0.5 s and their boxes."""
    frames = during(panning(6), "FRESH BREAD", 1.0, 2.5)
    first, second = read(reader, during(frames, "OPEN AT NINE", 3.5, 5.0, y=120), tmp_path)
    assert (plain(first.text), plain(second.text)) == ("freshbread", "openatnine")
    assert (first.start, first.end) == pytest.approx((1.0, 2.5), abs=0.5)
    assert (second.start, second.end) == pytest.approx((3.5, 5.0), abs=0.5)
    assert overlap(first.box, (60 / W, 362 / H, 315 / W, 44 / H)) > 0.5
    assert first.confidence is not None
    assert first.confidence >= 0.8


def test_times_are_exact_to_the_sampling_over_a_still_picture(reader: TextOverlay, tmp_path: Path) -> None:
    """Over a still picture a caption's span is right to one sampled frame (0.25 s), whatever else appears."""
    still = [texture(12, H, W)] * (6 * FPS)
    items = read(reader, during(during(still, "ALPHA BETA", 1.0, 4.0), "SECOND LINE", 2.0, 5.0, y=100), tmp_path)
    spans = {plain(item.text): (item.start, item.end) for item in items}
    assert spans["alphabeta"] == pytest.approx((1.0, 4.0), abs=0.26)
    assert spans["secondline"] == pytest.approx((2.0, 5.0), abs=0.26)
    assert len(items) == 2
    for item in items:
        assert item.dwell_seconds == pytest.approx(item.end - item.start, abs=1e-3)
        assert item.words_per_second == pytest.approx(2 / item.dwell_seconds, abs=1e-3)


@pytest.mark.parametrize("still", [True, False])
def test_texts_that_follow_one_another_in_one_place_stay_apart(
    reader: TextOverlay, tmp_path: Path, still: bool
) -> None:
    """Similar texts at the same place are two captions, over a still and over a moving picture."""
    ground = [texture(12, H, W)] * (5 * FPS) if still else panning(5)
    items = read(reader, during(during(ground, "STEP 1 MIX", 0.5, 2.5), "STEP 2 BAKE", 2.5, 4.5), tmp_path)
    assert [plain(item.text) for item in items] == ["step1mix", "step2bake"]
    assert items[0].end == pytest.approx(2.5, abs=0.3)
    assert items[1].start == pytest.approx(2.5, abs=0.3)


def test_captions_of_one_word_each_have_their_times(reader: TextOverlay, tmp_path: Path) -> None:
    """Words that follow one another every 0.4 s in one place are nearly all read, and each ends with its time."""
    words = ["FIRST", "THING", "YOU", "NEED", "CAMERA", "THEN", "SOME", "LIGHT", "PEOPLE", "REALLY"]
    truth = {plain(word): 0.5 + 0.4 * number for number, word in enumerate(words)}
    frames = panning(5.5)
    for word in words:
        start = truth[plain(word)]
        frames = during(frames, word, start, start + 0.4, x=240, y=300)
    found = {plain(one.text): (one.start, one.end) for one in read(reader, frames, tmp_path)}
    assert set(found) <= set(truth)
    assert len(found) >= len(words) - 2
    for word, (start, end) in found.items():
        assert (start, end) == pytest.approx((truth[word], truth[word] + 0.4), abs=0.34)


def test_text_that_moves_is_one_caption(reader: TextOverlay, tmp_path: Path) -> None:
    """Scene text that a slow camera passes is one item, not one for every reading."""
    sign = written(texture(13, 700, 1400), "BAKERY", x=500, y=350, scale=3.0)
    frames = [window(sign, 560 + i, 350, 1.0, H, W) for i in range(4 * FPS)]
    (item,) = read(reader, frames, tmp_path)
    assert plain(item.text) == "bakery"
    assert item.start <= 0.3
    assert item.end >= 3.7


def test_pictures_without_text_have_no_captions(reader: TextOverlay, tmp_path: Path) -> None:
    """Moving texture and black are looked at and give no captions."""
    frames = [*panning(2), *[np.zeros((H, W, 3), np.uint8)] * FPS]
    assert read(reader, frames, tmp_path) == ()


def test_nothing_is_read_while_nothing_changes(
    reader: TextOverlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A still picture with text is read once, however long it stays: that is what keeps slides cheap."""
    readings = []
    look = reader._reader.lines
    monkeypatch.setattr(reader._reader, "lines", lambda *a: readings.append(1) or look(*a))
    (item,) = read(reader, during([texture(12, H, W)] * (8 * FPS), "STILL HERE", 0, 8), tmp_path)
    assert (item.start, item.end) == (0.0, 8.0)
    assert len(readings) == 1


SLIDES = [
    ("Quarterly results", "revenue grew by 12 percent", "costs fell in May"),
    ("Our products", "toasters and kettles", "made in Norway"),
    ("Next steps", "hire more people", "open a new office"),
    ("Thank you", "Questions?"),
]


def slide(*lines: str) -> Picture:
    """A white page of lines one below the other."""
    page = np.full((H, W, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(page, line, (60, 100 + 100 * number), cv2.FONT_HERSHEY_DUPLEX, 1.0, (20, 20, 20), 2, cv2.LINE_AA)
    return page


def held(folder: Path, pictures: list[Picture], ending: str, seconds: float) -> Path:
    """A clip in which each picture is one frame that stands for so long."""
    if ending == "gif":
        first, *others = [Image.fromarray(picture) for picture in pictures]
        first.save(folder / "v.gif", save_all=True, append_images=others, duration=round(1000 * seconds))
        return folder / "v.gif"
    return write_video(folder / f"v.{ending}", pictures, fps=1 / seconds)


@pytest.mark.parametrize(("ending", "seconds"), [("mp4", 5.0), ("mp4", 1.0), ("gif", 2.5)])
def test_slides_of_one_frame_each_are_read_with_their_times(
    reader: TextOverlay, tmp_path: Path, ending: str, seconds: float
) -> None:
    """Each line of slides that stand as one frame has exactly the time of its slide, though others stood there."""
    video = held(tmp_path, [slide(*lines) for lines in SLIDES], ending, seconds)
    items = run(reader, video, tmp_path / "store").captions.items
    truth = {plain(line): (n * seconds, (n + 1) * seconds) for n, lines in enumerate(SLIDES) for line in lines}
    spans = {plain(item.text): (item.start, item.end) for item in items}
    assert spans == {text: pytest.approx(span, abs=0.01) for text, span in truth.items()}
    assert len(items) == len(truth)


def test_a_line_that_stays_over_slides_is_one(reader: TextOverlay, tmp_path: Path) -> None:
    """A headline on three slides of one frame each is one caption, what changes below it is three."""
    pages = [slide("Bread of the week", below) for below in ("rye and spelt", "white rolls", "nothing today")]
    items = run(reader, held(tmp_path, pages, "mp4", 4.0), tmp_path / "store").captions.items
    assert {(plain(item.text), item.start, item.end) for item in items} == {
        ("breadoftheweek", 0.0, 12.0),
        ("ryeandspelt", 0.0, 4.0),
        ("whiterolls", 4.0, 8.0),
        ("nothingtoday", 8.0, 12.0),
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [("now only 99 euro", "now only 49 euro"), ("up by 12 percent", "up by 47 percent"), ("room 318", "room 313")],
)
def test_a_number_that_changes_on_a_still_page_is_seen(
    reader: TextOverlay, tmp_path: Path, before: str, after: str
) -> None:
    """A digit or two of a line that change ask for a reading, and end the old line: prices change in advertisements."""
    frames = [slide("Our price today", before)] * (3 * FPS) + [slide("Our price today", after)] * (3 * FPS)
    items = read(reader, frames, tmp_path)
    assert {plain(item.text): (item.start, item.end) for item in items} == {
        "ourpricetoday": (0.0, 6.0),
        plain(before): (0.0, pytest.approx(3.0, abs=0.26)),
        plain(after): (pytest.approx(3.0, abs=0.26), 6.0),
    }
    assert len(items) == 3


WORDS = ["NEVER", "AGAIN", "PLEASE", "STOP", "DOING", "WEIRD", "THINGS", "WITH", "YOUR", "PHONE", "THANKS", "EVERYONE"]


@pytest.mark.parametrize("seconds", [0.3, 0.45])
def test_words_of_a_picture_each_in_a_gif_are_all_read(reader: TextOverlay, tmp_path: Path, seconds: float) -> None:
    """Nothing lies between two looks at pictures that stand for longer than a look takes: each word has its time."""
    pictures = [written(texture(12, H, W), word, x=240, y=300) for word in WORDS]
    items = run(reader, held(tmp_path, pictures, "gif", seconds), tmp_path / "store").captions.items
    assert [(plain(item.text), item.start, item.end) for item in items] == [
        (plain(word), pytest.approx(n * seconds, abs=0.01), pytest.approx((n + 1) * seconds, abs=0.01))
        for n, word in enumerate(WORDS)
    ]


def counted(text: str, scale: float) -> Picture:
    """A page with a line of that size below its heading."""
    page = slide("Uploading report")
    cv2.putText(page, text, (60, 200), cv2.FONT_HERSHEY_DUPLEX, scale, (20, 20, 20), 1, cv2.LINE_AA)
    return page


@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_a_counter_on_a_page_that_is_sent_when_it_changes_is_read(
    reader: TextOverlay, tmp_path: Path, scale: float
) -> None:
    """Every value of a counter that changes each 0.4 s has its time, in small letters, too, and the last one stays."""
    truth = [(f"done {value} %", 2.0 + 0.4 * n) for n, value in enumerate(range(40, 101, 5))]
    pages = [counted(text, scale) for text, _ in truth]
    film, times = [slide("Uploading report"), *pages, pages[-1]], [0.0, *(t for _, t in truth), 8.8]
    video = write_video(tmp_path / "v.mp4", film, times=times)
    found = [item for item in run(reader, video, tmp_path / "store").captions.items if item.text[0] in "dD"]
    assert [(plain(item.text), item.start) for item in found] == [
        (plain(text), pytest.approx(t, abs=0.01)) for text, t in truth
    ]
    ends = [*(t for _, t in truth[1:]), run(reader, video, tmp_path / "store").captions.items[0].end]
    assert [item.end for item in found] == pytest.approx(ends, abs=0.01)


def test_text_that_is_typed_is_one_caption(reader: TextOverlay, tmp_path: Path) -> None:
    """A command typed letter by letter is there from its first letters on, and has time to be read; 5 is not 55."""
    command, answers = "pip install reelgraph", ("loaded 5 files", "loaded 55 files")
    typed = [command[:count] for count in range(3, len(command) + 1)]
    pages = [*map(slide, typed), *(slide(command, answer) for answer in answers)]
    times = [0.15 * number for number in range(len(typed))] + [5.0, 6.0]
    items = run(reader, write_video(tmp_path / "v.mp4", pages, times=times), tmp_path / "store").captions.items
    assert [(plain(item.text), item.start) for item in items] == [
        (plain(command), 0.0),
        (plain(answers[0]), 5.0),
        (plain(answers[1]), 6.0),
    ]
    assert items[0].words_per_second == pytest.approx(3 / items[0].dwell_seconds, abs=0.01)


def test_slides_that_begin_alike_are_not_typed(reader: TextOverlay, tmp_path: Path) -> None:
    """A heading that stood for seconds before a longer one that begins with it is a text of its own."""
    items = run(
        reader, held(tmp_path, [slide("The first part"), slide("The first part of it")], "mp4", 3.0), tmp_path / "store"
    ).captions.items
    assert [(plain(item.text), item.start, item.end) for item in items] == [
        ("thefirstpart", 0.0, 3.0),
        ("thefirstpartofit", 3.0, 6.0),
    ]


def test_noise_asks_for_no_reading(reader: TextOverlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A still page as a noisy camera sees it is read once: noise changes no letter."""
    rng = np.random.default_rng(3)
    page = slide("Our price today", "now only 99 euro").astype(np.int16)
    frames = [np.clip(page + rng.normal(0, 12, page.shape), 0, 255).astype(np.uint8) for _ in range(5 * FPS)]
    readings = []
    look = reader._reader.lines
    monkeypatch.setattr(reader._reader, "lines", lambda *a: readings.append(1) or look(*a))
    assert len(read(reader, frames, tmp_path)) == 2
    assert len(readings) == 1


def test_other_text_does_not_keep_a_line_alive() -> None:
    """Edges of other text agree by chance only, although they are as dense; the same text agrees fully."""
    page = np.full((H, W, 3), 255, np.uint8)
    one = edge_map(written(page, "FIRST WORDS"))
    other = edge_map(written(page, "OTHER MATTER"))
    box = (60 / W, 355 / H, 330 / W, 55 / H)
    line = Line(0.0, 0.0, box, one[span(box, one.shape)])
    assert line.agreement(grow(one)) == 1
    assert line.agreement(grow(other)) < STILL_THERE / 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FRESH BREAD", 2),
        ("don't stop - 50% off!", 4),
        ("\u4eca\u3059\u3050\u8cb7\u3046", 5),
        ("iPhone \u53d1\u5e03", 3),
        ("...", 0),
    ],
)
def test_words_of_a_line_are_counted(text: str, words: int) -> None:
    """What stands between spaces and has a letter or digit is a word; so is each letter of an unspaced script."""
    assert word_count(text) == words


def test_a_line_seen_for_no_time_has_no_rate() -> None:
    """A line that was there in one frame only, the video's last, has no words per second instead of infinitely many."""
    line = Line(2.0, 2.0, (0.1, 0.1, 0.5, 0.1), np.ones((2, 2), bool))
    line.readings.append((0.9, "GONE ALREADY"))
    line.boxes.append(line.box)
    assert (caption(line, "x1", 2.0).dwell_seconds, caption(line, "x1", 2.0).words_per_second) == (0, None)
    assert caption(line, "x1", 4.0).words_per_second == 1


def test_the_sample_reel_is_read(reader: TextOverlay, tmp_path: Path) -> None:
    """The real reel's three captions come out with at most two wrong letters and times within 0.5 s."""
    video = real_clip("reel.mp4")
    items = run(reader, video, tmp_path).captions.items
    for true in json.loads(video.with_name("truth.json").read_text())["reel.mp4"]["texts"]:
        best = max(items, key=lambda item: SequenceMatcher(None, item.text, true["text"]).ratio())
        wrong = sum(a != b for a, b in zip(best.text, true["text"], strict=False))
        assert wrong + abs(len(best.text) - len(true["text"])) <= 2
        assert (best.start, best.end) == pytest.approx((true["start"], true["end"]), abs=0.5)
