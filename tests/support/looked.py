"""What cut_analysis and visual_effects make of one clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.evaluation.effects import FPS
from tasks.analyzers.cut_analysis import CutAnalysis, CutTracks
from tasks.analyzers.visual_effects import Effect, VisualEffects, VisualEffectsAnalysis
from tests.support.media import run
from tests.support.models import nothing
from tests.support.moving import Picture, write_video


class Looked:
    """Cut analysis and visual effects of one clip."""

    def __init__(self, video: Path, folder: Path) -> None:
        cuts, effects = CutAnalysis(), VisualEffectsAnalysis()
        cuts.load(nothing())
        effects.load(None)  # type: ignore[arg-type]
        self.cuts: CutTracks = run(cuts, video, folder)
        self.result: VisualEffects = run(effects, video, folder, ("cut_analysis", self.cuts))

    @property
    def labels(self) -> list[str]:
        """Labels of the effects, in order."""
        return [effect.label for effect in self.result.effects.items]

    @property
    def moments(self) -> list[tuple[str, float]]:
        """Types and seconds of the moments, in order."""
        return [(event.type, event.t) for event in self.result.moments.items]

    @property
    def events(self) -> list[tuple[str, float]]:
        """Types and seconds of what cut_analysis found, in order."""
        return [(event.type, event.t) for event in self.cuts.cuts.items]

    def one(self, label: str) -> Effect:
        """The only effect of that label."""
        (found,) = [effect for effect in self.result.effects.items if effect.label == label]
        return found


def look(folder: Path, frames: Sequence[Picture], fps: float = FPS) -> Looked:
    """Write the frames as a video and look at it."""
    return Looked(write_video(folder / "v.mp4", frames, fps=fps), folder / "store")
