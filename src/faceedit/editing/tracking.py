"""Following one face through a video. Frames are (H, W, 3) uint8 RGB."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from faceedit.circumplex import Affect
from faceedit.editing.selection import select_faces
from faceedit.errors import NoFaceError
from faceedit.faces.detector import Face
from faceedit.faces.tracker import FaceTracker, appearance
from faceedit.pool import ahead

if TYPE_CHECKING:  # which itself edits by what is here
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EncodedFace

GAP_SECONDS = 0.5  # a face that was not found for this long is taken to have been there
FADE_SECONDS = 0.25  # an edit comes and goes with the face over this time
LANDMARK_SECONDS = 0.06  # standard deviations of the smoothing in time
AFFECT_SECONDS = 0.5
ESTIMATE_SECONDS = 0.1  # between two estimates of the affect
FARTHEST = 0.6  # of its side: how far a face can come from one frame to the next
SAME, SAME_NEAR = 0.8, 0.5  # products of appearances that make a face the same person; less where it was last
LOOK_SECONDS = 0.5  # between two looks at the face that is followed
MAX_LOOKS = 60
CUT = 30  # of 255: the mean change of a frame, seen small, that only a cut makes; by eye
CUT_SIZE = (32, 18)
# How far landmarks move on average while a face is still, in shares of the crop's side: three times their noise. And
# how much the crop changes, of 255: twice what compression changes.
STILL, STEADY = 0.005, 5.0


@dataclass(frozen=True)
class Track:
    """One face through a video, an entry a frame.

    landmarks: (F, 5, 2), and source: (F, 2), its affect, both smooth in time. strength: (F,), how much of an edit it
    gets, 0 where the face is not there. cut: (F,) bool, whether the frame shows something else than the one before.
    """

    landmarks: np.ndarray
    source: np.ndarray
    strength: np.ndarray
    cut: np.ndarray

    @property
    def mean_source(self) -> Affect:
        """Over the frames that are edited."""
        return Affect(*self.source[self.strength > 0].mean(0).tolist())


class Follower:
    """Finds one face in frame after frame: the one that `face` names in the first that has it, then where it went.

    A face that left, or that a cut took away, is found again by what it looked like.
    """

    def __init__(self, editor: "FaceEditor", face: str, fps: float):
        self._editor, self._face = editor, face
        self._tracker = FaceTracker(editor.detector, editor.landmark_finder)
        self._last: Face | None = None
        self._lost = True
        self._looks: deque[np.ndarray] = deque(maxlen=MAX_LOOKS)
        self._wait, self._next_look = round(LOOK_SECONDS * fps), 0
        self.missing = NoFaceError("no face was found in the video")

    def next(self, frame: np.ndarray, cut: bool) -> Face | None:
        """The face in the next frame, or None. cut: it shows something else than the last."""
        found = None
        if self._last is not None and not (self._lost or cut):
            found = self._tracker.follow(frame, self._last)
        if found is None:
            finder = self._editor.landmark_finder
            found = self._chosen(frame, [finder.settled(frame, face) for face in self._editor.detect(frame)], cut)
            if found is not None:
                self._tracker.start(frame, found)
        self._lost = found is None
        self._next_look -= 1
        if found is not None and self._next_look <= 0:
            self._looks.append(appearance(frame, found))
            self._next_look = self._wait
        self._last = found or self._last
        return found

    def _chosen(self, frame: np.ndarray, faces: list[Face], cut: bool) -> Face | None:
        if self._last is None:
            try:
                (chosen,) = select_faces(faces, self._face)
            except NoFaceError as error:
                self.missing = error if faces else self.missing
                return None
            return chosen
        if not faces:
            return None
        alike = [float(np.max(np.stack(self._looks) @ appearance(frame, other))) for other in faces]
        distances = [_distance(self._last, other) for other in faces]
        nearest, likest = int(np.argmin(distances)), int(np.argmax(alike))
        if not cut and distances[nearest] < FARTHEST and alike[nearest] > SAME_NEAR:
            return faces[nearest]
        return faces[likest] if alike[likest] > SAME else None


def follow(editor: "FaceEditor", frames: Iterable[np.ndarray], fps: float, face: str) -> Track:
    """Find one face in all frames: the one that `face` names in the first frame that has it, then where it went.

    Raises NoFaceError where no frame has it.
    """
    follower = Follower(editor, face, fps)
    found: list[Face | None] = []
    affects, cuts = [], []
    affect, estimated = (0.0, 0.0), -np.inf
    seen: np.ndarray | None = None
    for index, frame in enumerate(ahead(frames)):
        before, seen = seen, cv2.resize(frame, CUT_SIZE, interpolation=cv2.INTER_AREA).astype(np.int16)
        cuts.append(before is not None and bool(np.abs(seen - before).mean() > CUT))
        chosen = follower.next(frame, cuts[-1])
        if chosen is not None and (cuts[-1] or index - estimated >= ESTIMATE_SECONDS * fps):
            affect, estimated = editor.judge.estimate(frame, [chosen])[0].affect.pair, index
        found.append(chosen)
        affects.append(affect)
    if not any(found):
        raise follower.missing
    return smooth_track(found, np.array(affects), fps, np.array(cuts))


def is_still(before: "EncodedFace", crop: np.ndarray, landmarks: np.ndarray) -> bool:
    """Whether nothing moved from a face to its crop and landmarks a moment later, before it or in its light."""
    change = np.abs(crop.astype(np.int16) - before.crop).mean()
    return bool(change < STEADY and np.abs(landmarks - before.landmarks).mean() < STILL)


def smooth_track(found: list[Face | None], affects: np.ndarray, fps: float, cut: np.ndarray | None = None) -> Track:
    """A track from a face in each frame, or None, and its affect (F, 2) there. Short gaps are bridged.

    cut: (F,) bool, the frames before which nothing has to do with what follows.
    """
    cut = np.zeros(len(found), bool) if cut is None else cut
    bounds = [0, *np.flatnonzero(cut[1:]) + 1, len(found)]
    scenes = [_smooth_scene(found[start:end], affects[start:end], fps) for start, end in pairwise(bounds)]
    landmarks, source, strength = (np.concatenate(parts) for parts in zip(*scenes, strict=True))
    return Track(landmarks, source, strength, cut)


def _smooth_scene(
    found: list[Face | None], affects: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks, source and strength of frames without a cut. An edit fades where the face comes or goes in them."""
    frames, places = np.arange(len(found)), np.flatnonzero([face is not None for face in found])
    strength = np.zeros(len(found))
    if not len(places):
        return np.zeros((len(found), 5, 2)), np.zeros((len(found), 2)), strength
    landmarks = np.stack([face.landmarks.ravel() for face in found if face is not None])

    def bridged(values: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(frames, places, column) for column in values.T], axis=1)

    for start, end in _stretches(places, round(GAP_SECONDS * fps) + 1):
        ramp = np.ones(end - start)
        fade = np.arange(1, len(ramp) + 1) / (FADE_SECONDS * fps + 1)
        if start > 0:
            ramp = np.minimum(ramp, fade)
        if end < len(found):
            ramp = np.minimum(ramp, fade[::-1])
        strength[start:end] = ramp
    return (
        _smoothed(bridged(landmarks), LANDMARK_SECONDS * fps).reshape(-1, 5, 2),
        _smoothed(bridged(affects[places]), AFFECT_SECONDS * fps).clip(-1, 1),
        strength,
    )


def _distance(face: Face, other: Face) -> float:
    """How far apart two faces are in place and size, in units of the first one's side."""
    centres = [(found.box[:2] + found.box[2:]) / 2 for found in (face, other)]
    side = max(face.side, 1.0)
    return float(np.hypot(*(centres[1] - centres[0])) + abs(other.side - face.side)) / side


def _stretches(places: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """The ranges (start, end) of frames that places (sorted) lie in, where steps of up to `gap` are bridged."""
    breaks = np.flatnonzero(np.diff(places) > gap)
    starts, ends = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]] + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (F, C) with a Gaussian over the frames; at the ends, over those that there are."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    weight = np.convolve(np.ones(len(values)), kernel)[reach : reach + len(values)]
    sums = [np.convolve(column, kernel)[reach : reach + len(values)] for column in values.T]
    return np.stack(sums, axis=1) / weight[:, None]
