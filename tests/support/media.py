"""Real media for one analyzer without a broker: the frame store underneath, tracks of others handed in."""

from services.evaluation.media import LocalMedia, run

__all__ = ["LocalMedia", "run"]
