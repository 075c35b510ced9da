"""Following one face through a video while its expression is changed. Frames are (H, W, 3) uint8 RGB.

A video is read twice: to find the face in all frames, and to edit it, where what was found can be smoothed with what
came later in mind.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from faceedit.circumplex import Affect
from faceedit.editing.compositing import apply_edit
from faceedit.editing.editor import FaceEditor
from faceedit.editing.request import Request, select_faces
from faceedit.errors import NoFaceError
from faceedit.faces.alignment import alignment
from faceedit.faces.detector import Face
from faceedit.media.video import Video

GAP_SECONDS = 0.5  # a face that was not found for this long is taken to have been there
FADE_SECONDS = 0.25  # an edit comes and goes with the face over this time
LANDMARK_SECONDS = 0.06  # standard deviations of the smoothing in time
AFFECT_SECONDS = 0.5
EDIT_MEMORY = 0.5  # how much of an edit is the last frame's
FARTHEST = 0.6  # of its side: how far a face can come from one frame to the next


@dataclass(frozen=True)
class Track:
    """One face through a video, an entry a frame: landmarks (F, 5, 2) and source affect (F, 2), smooth in time, and
    strength (F,), how much of an edit it gets: 0 where the face is not there.
    """

    landmarks: np.ndarray
    source: np.ndarray
    strength: np.ndarray


def follow(editor: FaceEditor, video: Video, face: str, frames: Iterable[np.ndarray]) -> Track:
    """Find one face in all frames: the one that `face` names in the first frame that has it, then where it went.

    frames: of the video. Raises NoFaceError where no frame has it.
    """
    found: list[Face | None] = []
    affects = []
    last: Face | None = None
    missing = NoFaceError("no face was found in the video")
    for frame in frames:
        faces = editor.detect(frame)
        chosen = None
        if last is None:
            try:
                (chosen,) = select_faces(faces, face)
            except NoFaceError as error:
                missing = error if faces else missing
        elif faces:
            distances = [_distance(last, other) for other in faces]
            nearest = int(np.argmin(distances))
            chosen = faces[nearest] if distances[nearest] < FARTHEST else None
        found.append(chosen)
        affects.append(editor.judge.estimate(frame, [chosen])[0].affect.pair if chosen else (0.0, 0.0))
        last = chosen or last
    if last is None:
        raise missing
    return smooth_track(found, np.array(affects), video.fps)


def smooth_track(found: list[Face | None], affects: np.ndarray, fps: float) -> Track:
    """A track from a face in each frame, or None, and its affect (F, 2) there. Short gaps are bridged."""
    there = np.array([face is not None for face in found])
    places = np.flatnonzero(there)
    frames = np.arange(len(found))
    landmarks = np.stack([face.landmarks.ravel() for face in found if face is not None])

    def bridged(values: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(frames, places, column) for column in values.T], axis=1)

    strength = np.zeros(len(found))
    for start, end in _stretches(places, round(GAP_SECONDS * fps) + 1):
        ramp = np.ones(end - start)
        fade = np.arange(1, len(ramp) + 1) / (FADE_SECONDS * fps + 1)
        if start > 0:
            ramp = np.minimum(ramp, fade)
        if end < len(found):
            ramp = np.minimum(ramp, fade[::-1])
        strength[start:end] = ramp
    return Track(
        _smoothed(bridged(landmarks), LANDMARK_SECONDS * fps).reshape(-1, 5, 2),
        _smoothed(bridged(affects[places]), AFFECT_SECONDS * fps).clip(-1, 1),
        strength,
    )


def edited_frames(
    editor: FaceEditor, frames: Iterable[np.ndarray], track: Track, request: Request
) -> Iterator[np.ndarray]:
    """Each frame with the face of the track edited as the request says; frames beyond the track stay as they are."""
    last = None
    for index, frame in enumerate(frames):
        strength = track.strength[index] if index < len(track.strength) else 0
        if strength == 0:
            last = None
            yield frame
            continue
        matrix = alignment(track.landmarks[index], editor.engine.size)
        source = Affect(*track.source[index].tolist())
        encoded = editor.encode_aligned(frame, matrix, source)
        flow, paint = next(editor.fields(encoded, np.array([request.target(source).pair])))
        eyes = encoded.eyes
        if last is not None:
            flow, paint = (now + EDIT_MEMORY * (then - now) for now, then in zip((flow, paint), last[:2], strict=True))
            eyes = tuple(now.towards(then, EDIT_MEMORY) for now, then in zip(eyes, last[2], strict=True))
        last = flow, paint, eyes
        yield apply_edit(frame, matrix, flow * np.float32(strength), paint * np.float32(strength), eyes)


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
