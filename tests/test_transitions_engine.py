"""TransNetV2: its windows and the reading of what it says, with a tiny one; cuts of a made film with the real one."""

import numpy as np
import pytest

from shared.settings import settings
from shared.weights import Weights
from tasks.analyzers.cut_analysis import CutAnalysis
from tasks.devices import CPU
from tasks.engines.transitions import TRANSITION_FINDERS
from tasks.models import Models
from tasks.transitions.judged import judged
from tests.support.media import run
from tests.support.moving import write_video
from tests.support.system import missing
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import gpu_profile, need_torch, tiny_weights
from tests.support.tiny.transitions import transnet

ENTRY = "transnetv2"


def chances(*spans, frames=30):
    """Probabilities of so many frames: `(start, stop, end's, part's)` for the marked ones, else 0.01."""
    marked = np.full((frames, 2), 0.01)
    for start, stop, end, part in spans:
        marked[start:stop] = end, part
    return marked


def test_one_marked_frame_is_a_cut_to_the_next():
    """The mark is on the last frame of a shot; the cut is the first frame of the new one, as sure as the mark."""
    found = judged(chances((9, 10, 0.9, 0.8)))
    assert (found.cuts, found.gradual, found.sure) == ((10,), (), {10: pytest.approx(0.9)})


def test_many_marked_frames_are_gradual():
    """A longer run is a transition from its second frame to the one after it, as sure as its surest end."""
    marked = chances((5, 15, 0.2, 0.9))
    marked[9, 0] = 0.7
    (one,) = judged(marked).gradual
    assert (one.start, one.middle, one.end) == (6, 10, 15)
    assert judged(marked).sure == {10: pytest.approx(0.7)}


@pytest.mark.parametrize("span", [(5, 15, 0.3, 0.9), (5, 6, 0.4, 0.4), (25, 30, 0.9, 0.9)])
def test_what_is_not_sure_or_leads_nowhere_is_none(span):
    """A transition without an end, a weak mark, and one that the video's end cuts off give nothing."""
    found = judged(chances(span))
    assert (found.cuts, found.gradual, found.sure) == ((), (), {})


def test_a_fade_is_as_sure_as_the_mark_that_meets_it():
    """A mark gives its probability to frames that it meets, at the video's end too; beside all marks there is none."""
    found = judged(chances((5, 15, 0.8, 0.9), (26, 30, 0.7, 0.9)))
    assert [found.there(range(*span)) for span in ((14, 18), (15, 18), (0, 6), (24, 30))] == [
        pytest.approx(0.8),
        None,
        pytest.approx(0.8),
        pytest.approx(0.7),
    ]


class Says:
    """Marks frames 8 to 24 as a transition, surest in the middle."""

    def probabilities(self, shown):
        found = chances((8, 25, 0.2, 0.9), frames=len(list(shown)))
        found[16, 0] = 0.75
        return found


def test_fades_have_the_networks_probability(tmp_path):
    """A picture goes to black where the network marks a transition; another comes much later, where it marks none."""
    one, other = scenes(2)
    falls, rises = np.linspace(1, 0, 10), np.linspace(0, 1, 10)
    film = [one] * 10 + [one * level for level in falls] + [one * 0] * 20 + [other * level for level in rises]
    video = write_video(tmp_path / "film.mp4", [np.uint8(picture) for picture in film + [other] * 10], fps=10)
    analyzer = CutAnalysis()
    analyzer._network = Says()
    with gpu_profile():
        found = run(analyzer, video, tmp_path / "frames")
    assert [(event.type, event.confidence) for event in found.cuts.items] == [("fade_out", 0.75), ("fade_in", None)]


def test_fades_in_a_part_of_the_frame_have_it_too(tmp_path):
    """The network sees the frames whole; fades are measured where the picture is, here in a white band."""
    one, other = scenes(2)
    falls, rises = np.linspace(1, 0, 16), np.linspace(0, 1, 16)
    film = []
    for picture in [one] * 5 + [one * level for level in falls] + [one * 0] * 5 + [other * level for level in rises]:
        frame = np.full((3 * picture.shape[0], picture.shape[1], 3), 255, np.uint8)
        frame[picture.shape[0] : 2 * picture.shape[0]] = picture
        film.append(frame)
    analyzer = CutAnalysis()
    analyzer._network = Says()
    with gpu_profile():
        found = run(analyzer, write_video(tmp_path / "film.mp4", film, fps=10), tmp_path / "frames")
    assert [(event.type, event.confidence) for event in found.cuts.items] == [("fade_out", 0.75), ("fade_in", None)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    need_torch()
    return tiny_weights(tmp_path_factory.mktemp("tiny"), {ENTRY: transnet})


def models(weights, precision="auto"):
    made = Models(weights, None, profile="gpu", threads=2, device=lambda: CPU, precision=precision)
    made.extra = ENTRY
    return made


@pytest.mark.engines
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 130])
def test_every_frame_has_its_probabilities(weights, count, precision):
    """Whatever the number of frames, each gets two numbers in 0..1."""
    engine = models(weights, precision).extra_engine(TRANSITION_FINDERS)
    found = engine.probabilities(scenes(count, 54, 96))
    assert found.shape == (count, 2)
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.engines
def test_neither_batches_nor_windows_change_anything(weights):
    """Windows one by one and together say the same, and a frame in the middle has what its own window gives."""
    engine = models(weights).extra_engine(TRANSITION_FINDERS)
    pictures = scenes(130, 54, 96)
    alone = engine.probabilities(pictures)
    engine.batch = 3
    together = engine.probabilities(iter(pictures))
    np.testing.assert_allclose(alone, together, atol=1e-5)
    (middle,) = engine._windows([engine._shrunk(pictures[25:125])])
    np.testing.assert_allclose(middle, alone[50:100], atol=1e-5)
    assert alone.std() > 1e-3


@pytest.mark.engines
@pytest.mark.slow
def test_the_cut_of_a_film_by_the_real_network(tmp_path):
    """With the packaged weights, through the analyzer: one cut, at its frame's time, with a probability, no other."""
    need_torch()
    store = Weights(settings().weights_dir)
    if store.on_disk(ENTRY) != "complete":
        missing(f"{ENTRY} is not on this machine; get it with `reelgraph models pull {ENTRY}`")
    rows, columns = np.mgrid[:96, :160]
    one = np.stack([rows * 2, columns, rows + columns], -1).astype(np.uint8)
    other = np.stack([(columns * 7) % 256, 255 - rows * 2, (rows * columns) % 256], -1).astype(np.uint8)
    film = [np.roll(one, n, axis=1) for n in range(14)] + [np.roll(other, -n, axis=0) for n in range(14)]
    video = write_video(tmp_path / "film.mp4", film, fps=10)
    analyzer = CutAnalysis()
    analyzer.load(models(store))
    with gpu_profile():
        found = run(analyzer, video, tmp_path / "frames")
    ((event),) = found.cuts.items
    assert (event.t, event.type) == (1.4, "cut")
    assert event.confidence > 0.5
    assert [(shot.start, shot.end) for shot in found.shots.items] == [(0.0, 1.4), (1.4, 2.8)]
    assert found.cuts.method == "model"


def test_without_its_weights_cuts_are_measured(tmp_path):
    """In the gpu profile, with an empty weights folder, the measures of the local profile find the cut."""
    empty = Weights(tmp_path / "none")
    analyzer = CutAnalysis()
    analyzer.load(models(empty))
    dark, light = (np.full((96, 160, 3), level, np.uint8) for level in (60, 190))
    video = write_video(tmp_path / "film.mp4", [dark] * 10 + [light] * 10, fps=10)
    with gpu_profile():
        found = run(analyzer, video, tmp_path / "frames")
    assert [(event.t, event.type, event.confidence) for event in found.cuts.items] == [(1.0, "cut", None)]
    assert found.cuts.method == "heuristic"
