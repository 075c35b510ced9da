"""The valence-arousal plane (Russell 1980): points, grids, and where the training labels support them."""

import difflib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np

from faceedit.errors import UsageError

SUPPORT_RADIUS = 0.125
SUPPORT_MIN_COUNT = 20
# Ten bins span one support window, so windows centred on multiples of 0.25 fall exactly on bin edges.
SUPPORT_BINS = 80
HULL_STEPS = 41

Point = tuple[float, float]  # valence, arousal
AnyAffect = TypeVar("AnyAffect", bound="Affect")


@dataclass(frozen=True)
class Affect:
    """A point of the plane: valence (unpleasant to pleasant) and arousal (calm to excited), each in [-1, 1].

    Raises UsageError for a value that is not a number or lies outside.
    """

    valence: float
    arousal: float

    def __post_init__(self) -> None:
        for name, value in (("valence", self.valence), ("arousal", self.arousal)):
            if not (math.isfinite(value) and -1 <= value <= 1):
                raise UsageError(f"{name} must be a number between -1 and 1, not {value:g}")

    @property
    def pair(self) -> Point:
        """Valence and arousal."""
        return self.valence, self.arousal

    @property
    def row(self) -> np.ndarray:
        """(2 + E,) float32: valence, arousal, and how much of each expression of CLASS_MEANS is meant; here, any is."""
        return np.array([*self.pair, *[0] * len(CLASS_MEANS)], np.float32)

    def moved(self, valence: float, arousal: float) -> Self:
        """The point moved by valence and arousal, kept within the plane.

        Raises UsageError for more than 2 or less than -2, the length of the plane.
        """
        for name, value in (("valence", valence), ("arousal", arousal)):
            if not (math.isfinite(value) and -2 <= value <= 2):
                raise UsageError(f"{name} must be a number between -2 and 2 to move by, not {value:g}")
        moved = (max(-1.0, min(1.0, value + by)) for value, by in zip(self.pair, (valence, arousal), strict=True))
        return replace(self, **dict(zip(("valence", "arousal"), moved, strict=True)))

    def __str__(self) -> str:
        return f"valence {self.valence:+.2f}, arousal {self.arousal:+.2f}"


# The mean labels of AffectNet's expression classes, on its validation set.
CLASS_MEANS = {
    "neutral": (-0.03, -0.02),
    "happy": (0.67, 0.08),
    "sad": (-0.63, -0.27),
    "surprised": (0.18, 0.70),
    "afraid": (-0.12, 0.76),
    "disgusted": (-0.68, 0.45),
    "angry": (-0.43, 0.55),
    "contemptuous": (-0.51, 0.58),
}


@dataclass(frozen=True)
class Target(Affect):
    """A point of the plane where a face goes, and how much of each expression of CLASS_MEANS is meant, in [0, 1]; all
    zeros: any that lies there."""

    expressions: tuple[float, ...] = (0.0,) * len(CLASS_MEANS)

    @property
    def row(self) -> np.ndarray:
        return np.array([*self.pair, *self.expressions], np.float32)

    @classmethod
    def of_row(cls, row: np.ndarray) -> Self:
        """The target whose row this is, (2 + E,)."""
        valence, arousal, *expressions = row.tolist()
        return cls(valence, arousal, tuple(expressions))


# Directions of feelings in degrees, counter-clockwise from pleasant (Russell 1980): those of no class.
# Calm and tired lie beyond the faces that the editor has seen.
DIRECTIONS = {"excited": 49, "calm": 316, "tired": 268}
DIRECTION_LENGTH = 0.65  # about how far from the middle the classes lie
EMOTIONS = {name: Affect(*point) for name, point in CLASS_MEANS.items()} | {
    name: Affect(DIRECTION_LENGTH * math.cos(math.radians(a)), DIRECTION_LENGTH * math.sin(math.radians(a)))
    for name, a in DIRECTIONS.items()
}
# Nouns, and names of expressions that look alike, as their directions in Russell's plane differ by little.
SYNONYMS = {
    "happy": ("happiness", "joy", "joyful", "delighted", "delight", "pleased", "pleasure"),
    "sad": ("sadness", "miserable", "misery", "gloomy", "gloom", "grief"),
    "surprised": ("surprise", "astonished", "astonishment"),
    "afraid": ("fear", "fearful", "scared", "alarmed", "alarm", "tense", "tension"),
    "disgusted": ("disgust",),
    "angry": ("anger", "annoyed", "annoyance", "distressed", "distress"),
    "contemptuous": ("contempt",),
    "neutral": ("neutrality",),
    "excited": ("excitement",),
    "calm": ("calmness", "relaxed", "content", "serene", "serenity"),
    "tired": ("tiredness", "bored", "boredom", "sleepy", "sleepiness"),
}
MEANT = {other: name for name, others in SYNONYMS.items() for other in (name, *others)}
# A little more of an emotion than the face shows.
MORE = {
    "happier": "happy",
    "sadder": "sad",
    "angrier": "angry",
    "calmer": "calm",
    "sleepier": "tired",
} | {f"more {name}": name for name in EMOTIONS if name != "neutral"}
STEP = 0.35  # how far a little more is, about half the way from neutral


def emotion_name(name: str) -> str:
    """The name in EMOTIONS for an adjective or a noun, in any case.

    Raises UsageError for another name, which suggests the nearest one.
    """
    meant = MEANT.get(" ".join(name.lower().split()))
    if meant is None:
        near = difflib.get_close_matches(name.lower(), (*MEANT, *MORE), 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(EMOTIONS)}"
        raise UsageError(f"there is no emotion {name}: {hint}")
    return meant


def named_emotion(name: str, intensity: float = 1.0) -> Target:
    """Where a named emotion lies, and what it is: the neutral face at intensity 0, the emotion at 1. Raises
    UsageError."""
    if not 0 <= intensity <= 1:
        raise UsageError(f"intensity must be a number between 0 and 1, not {intensity:g}")
    name = emotion_name(name)
    start, end = EMOTIONS["neutral"], EMOTIONS[name]
    there = start.moved(intensity * (end.valence - start.valence), intensity * (end.arousal - start.arousal))
    return called(there, name, intensity)


def called(affect: Affect, name: str, weight: float = 1.0) -> Target:
    """An affect of a face that is to look like a name of EMOTIONS; those of no class mean any face that lies there."""
    return Target(*affect.pair, tuple(weight * (name == other) for other in CLASS_MEANS))


def emotion_from(source: Affect, name: str, intensity: float = 1.0) -> Target:
    """The target of a face that shows the source affect, for an emotion or for more of one ("happier").

    A face that shows more of an emotion than its name stands for keeps that: `happy` makes no face less happy. Raises
    UsageError.
    """
    more = MORE.get(" ".join(name.lower().split()))
    goal = named_emotion(more or name, intensity)
    start, end = EMOTIONS["neutral"], EMOTIONS[more or emotion_name(name)]
    way = (end.valence - start.valence, end.arousal - start.arousal)
    length = math.hypot(*way)
    if more:
        return called(source.moved(*(STEP * intensity * step / length for step in way)), more)
    if length == 0 or intensity < 1:
        return goal
    beyond = sum((a - b) * step / length for a, b, step in zip(source.pair, goal.pair, way, strict=True))
    return goal.moved(*(max(beyond, 0) * step / length for step in way))


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
        """Whether enough labels (20) lie near the point to have learnt it from."""
        return self.count(valence, arousal) >= SUPPORT_MIN_COUNT

    def nearest(self, affect: AnyAffect) -> AnyAffect:
        """The nearest point of the convex hull of what the labels cover; the point itself where it lies inside.

        Nearby points have nearby nearest points, so that a path which leaves the hull goes on smoothly along its edge.
        Where nothing is covered, the point itself.
        """
        if len(self.hull) < 3:
            return affect
        point = np.array([affect.valence, affect.arousal])
        starts, ends = self.hull, np.roll(self.hull, -1, axis=0)
        sides = ends - starts
        if (sides[:, 0] * (point - starts)[:, 1] >= sides[:, 1] * (point - starts)[:, 0] - 1e-9).all():
            return affect
        along = ((point - starts) * sides).sum(1) / (sides**2).sum(1)
        feet = starts + along.clip(0, 1)[:, None] * sides
        valence, arousal = feet[np.hypot(*(feet - point).T).argmin()].tolist()
        return replace(affect, valence=valence, arousal=arousal)

    @cached_property
    def hull(self) -> np.ndarray:
        """The corners (K, 2) of the covered points' convex hull, counter-clockwise, found on a lattice of 0.05."""
        axis = np.linspace(-1, 1, HULL_STEPS)
        points = sorted((v, a) for v in axis.tolist() for a in axis.tolist() if self.covers(v, a))
        return np.array(_half_hull(points) + _half_hull(points[::-1]))


def _half_hull(points: list[Point]) -> list[Point]:
    """The lower hull of points sorted by x, without its last (Andrew's monotone chain, 1979)."""
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _turn(hull[-2], hull[-1], point) <= 1e-12:
            hull.pop()
        hull.append(point)
    return hull[:-1]


def _turn(a: Point, b: Point, c: Point) -> float:
    """Above 0 where the way from a over b to c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
