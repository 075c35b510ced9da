"""Paths over the circumplex that animations follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceedit.circumplex import Affect, named_emotion
from faceedit.errors import UsageError
from faceedit.faces.alignment import smoothstep

CIRCLE = "circle"
CIRCLE_RADIUS = 0.6
MAX_FRAMES = 2000


@dataclass(frozen=True)
class TimedPath:
    """A path over the circumplex, and when an animation is where on it.

    path: see `parse_path`. targets: (frames, 2 + E), of each frame, as in `circumplex.Affect.row`. fps: frames a
    second. loop: the last way leads back, and the animation repeats."""

    path: str
    targets: np.ndarray
    fps: float
    loop: bool


def timed_path(path: str, seconds: float, fps: float, loop: bool) -> TimedPath:
    """A path that takes so many seconds, up to 600, at 1 to 60 frames a second. Raises UsageError."""
    if not 0 < seconds <= 600:
        raise UsageError(f"seconds must lie above 0 and up to 600, not {seconds:g}")
    if not 1 <= fps <= 60:
        raise UsageError(f"frames a second must lie between 1 and 60, not {fps:g}")
    return TimedPath(path, path_targets(parse_path(path), round(seconds * fps), loop), fps, loop)


def parse_path(text: str) -> Sequence[Affect]:
    """The points of a path: "circle", emotions as in "happy,surprised,neutral", or points as in "0,0 0.8,0.2".

    Raises UsageError.
    """
    if text == CIRCLE:
        return []
    has_digits = any(character.isdigit() for character in text)
    points = [parse_point(point) for point in (text.split() if has_digits else text.split(","))]
    if len(points) < 2:
        raise UsageError(f"a path needs two points or more, not '{text}'")
    return points


def parse_point(text: str) -> Affect:
    """An emotion as in "happy", or a point as in "0.8,0.2". Raises UsageError."""
    if not any(character.isdigit() for character in text):
        return named_emotion(text.strip())
    try:
        valence, arousal = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"a point reads like 0.8,0.2, valence and arousal, not {text}") from None
    return Affect(valence, arousal)


def path_targets(points: Sequence[Affect], frames: int, loop: bool) -> np.ndarray:
    """Where each of the frames lies, (frames, 2 + E): along a circle where there are no points, else from point to
    point.

    Each way begins and ends at rest, so that a point is seen and not passed. loop: the last way leads back, and the
    frame after the last would be the first.
    """
    if not 2 <= frames <= MAX_FRAMES:
        raise UsageError(f"an animation has 2 to {MAX_FRAMES} frames, not {frames}: change its seconds or its rate")
    if not points:
        angles = np.linspace(0, 2 * math.pi, frames, endpoint=not loop)
        around = CIRCLE_RADIUS * np.column_stack([np.cos(angles), np.sin(angles)])
        return np.stack([Affect(*point).row for point in around.tolist()])
    stops = np.stack([point.row for point in points])
    if loop:
        stops = np.vstack([stops, stops[:1]])
    place = np.linspace(0, len(stops) - 1, frames, endpoint=not loop)
    start = np.minimum(place.astype(int), len(stops) - 2)
    share = place - start
    share = smoothstep(share, 0, 1)[:, None]
    return stops[start] * (1 - share) + stops[start + 1] * share
