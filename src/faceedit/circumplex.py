"""The valence-arousal plane (Russell 1980): points, grids, and where the training labels support them."""

import math
from dataclasses import dataclass

import numpy as np

from faceedit.errors import UsageError

SUPPORT_RADIUS = 0.125
SUPPORT_MIN_COUNT = 20
# Ten bins span one support window, so windows centred on multiples of 0.25 fall exactly on bin edges.
SUPPORT_BINS = 80


@dataclass(frozen=True)
class Affect:
    """A point of the plane: valence (unpleasant to pleasant) and arousal (calm to excited), each in [-1, 1].

    Raises UsageError for a value that is not a number or lies outside.
    """

    valence: float
    arousal: float

    def __post_init__(self):
        for name, value in (("valence", self.valence), ("arousal", self.arousal)):
            if not (math.isfinite(value) and -1 <= value <= 1):
                raise UsageError(f"{name} must be a number between -1 and 1, not {value:g}")

    def __str__(self):
        return f"valence {self.valence:+.2f}, arousal {self.arousal:+.2f}"


def grid_axis(steps: int = 7, extent: float = 0.75) -> np.ndarray:
    """The values along one axis of a grid: `steps` of them, evenly from -extent to +extent, float32."""
    if not 1 <= steps <= 41:
        raise UsageError(f"steps must lie between 1 and 41, not {steps}")
    if not 0 < extent <= 1:
        raise UsageError(f"extent must lie above 0 and not above 1, not {extent:g}")
    return np.linspace(-extent, extent, steps, dtype=np.float32) if steps > 1 else np.zeros(1, np.float32)


def affect_grid(axis: np.ndarray) -> np.ndarray:
    """All pairs of the axis' values, (steps · steps, 2) = valence, arousal, as a reader sees the plane.

    Row by row from high arousal (top) to low, each row from low valence (left) to high.
    """
    return np.array([(valence, arousal) for arousal in axis[::-1] for valence in axis], np.float32)


class Support:
    """How many training labels lie near a point of the plane.

    counts: (80, 80) integers, labels per bin of 0.025; first index valence, second arousal, from -1 to 1.
    """

    SHAPE = (SUPPORT_BINS, SUPPORT_BINS)

    def __init__(self, counts: np.ndarray):
        self.counts = np.asarray(counts, np.int64)

    @classmethod
    def from_affect(cls, affect: np.ndarray) -> "Support":
        """Count the labels `affect`, (N, 2)."""
        counts, _, _ = np.histogram2d(affect[:, 0], affect[:, 1], SUPPORT_BINS, [[-1, 1], [-1, 1]])
        return cls(counts)

    def count(self, valence: float, arousal: float) -> int:
        """Labels within ±0.125 of the point in both directions, to the nearest bin."""
        bin_width = 2 / SUPPORT_BINS
        slices = []
        for value in (valence, arousal):
            low = round((value - SUPPORT_RADIUS + 1) / bin_width)
            slices.append(slice(max(low, 0), max(low + round(2 * SUPPORT_RADIUS / bin_width), 0)))
        return int(self.counts[slices[0], slices[1]].sum())

    def covers(self, valence: float, arousal: float) -> bool:
        """Whether enough labels (20) lie near the point; an edit to any other point is extrapolation."""
        return self.count(valence, arousal) >= SUPPORT_MIN_COUNT
