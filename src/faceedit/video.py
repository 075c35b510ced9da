"""Videos: reading and writing their frames, and following one face through them while its expression is changed.

Frames are (H, W, 3) uint8 RGB, upright. A video is read twice: to find the face in all frames, and to edit it, where
what was found can be smoothed with what came later in mind.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from faceedit.circumplex import Affect
from faceedit.editing.compositing import apply_edit
from faceedit.editing.request import Request, select_faces
from faceedit.errors import NoFaceError, UnreadableError
from faceedit.faces.alignment import alignment
from faceedit.faces.detector import Face
from faceedit.files import write_atomically
from faceedit.media.provenance import embedded

if TYPE_CHECKING:  # paths and outputs of animations are checked before torch is loaded
    from faceedit.editing.editor import FaceEditor

GAP_SECONDS = 0.5  # a face that was not found for this long is taken to have been there
FADE_SECONDS = 0.25  # an edit comes and goes with the face over this time
LANDMARK_SECONDS = 0.06  # standard deviations of the smoothing in time
AFFECT_SECONDS = 0.5
EDIT_MEMORY = 0.5  # how much of an edit is the last frame's
FARTHEST = 0.6  # of its side: how far a face can come from one frame to the next


@dataclass(frozen=True)
class Video:
    """A video file's frame rate, number of frames as its header tells it, and size in pixels."""

    path: Path
    fps: float
    frames: int
    width: int
    height: int

    def __iter__(self) -> Iterator[np.ndarray]:
        capture = cv2.VideoCapture(str(self.path))
        try:
            while True:
                there, frame = capture.read()
                if not there:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()


@dataclass(frozen=True)
class Track:
    """One face through a video, an entry a frame: landmarks (F, 5, 2) and source affect (F, 2), smooth in time, and
    strength (F,), how much of an edit it gets: 0 where the face is not there.
    """

    landmarks: np.ndarray
    source: np.ndarray
    strength: np.ndarray


def open_video(path: Path) -> Video:
    """Raises UnreadableError for a file that is missing, is no video, or has a codec that this OpenCV lacks."""
    if not path.is_file():
        raise UnreadableError(f"there is no file {path}")
    capture = cv2.VideoCapture(str(path))
    try:
        frame = capture.read()[1] if capture.isOpened() else None
        if frame is None:
            raise UnreadableError(f"cannot read {path}: it is no video, or this OpenCV lacks its codec")
        fps = capture.get(cv2.CAP_PROP_FPS)
        count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    finally:
        capture.release()
    return Video(path, fps if 1 <= fps <= 1000 else 25.0, count, frame.shape[1], frame.shape[0])


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: float,
    xmp: bytes | None = None,
    source: Path | None = None,
    metadata: bool = True,
) -> bool:
    """Write frames as MP4, whole or not at all; an odd last row or column is left out, as codecs halve the colours.

    With ffmpeg on the PATH it is H.264, with the sound of the video `source`, and its metadata if asked; else it is
    MPEG-4 by OpenCV, which has neither. xmp: a packet to embed. Returns whether there was an ffmpeg. Raises
    UnreadableError.
    """
    ffmpeg = shutil.which("ffmpeg")
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "video.mp4"
        if ffmpeg:
            _encode_by_ffmpeg(_ffmpeg_command(ffmpeg, part, fps, source, metadata), frames)
        else:
            _encode_by_opencv(part, frames, fps)
        data = part.read_bytes()
        write_atomically(path, embedded(data, xmp) if xmp else data)
    return ffmpeg is not None


def follow(editor: "FaceEditor", video: Video, face: str, frames: Iterable[np.ndarray]) -> Track:
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
    editor: "FaceEditor", frames: Iterable[np.ndarray], track: Track, request: Request
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


def _even(frame: np.ndarray) -> np.ndarray:
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _encode_by_opencv(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    even = map(_even, frames)
    first = next(even)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, first.shape[1::-1])
    if not writer.isOpened():
        raise UnreadableError("this OpenCV has no MPEG-4 encoder: install ffmpeg")
    for frame in chain([first], even):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def _encode_by_ffmpeg(command: list[str], frames: Iterable[np.ndarray]) -> None:
    """Feed frames to a command line, in which SIZE stands for theirs."""
    even = map(_even, frames)
    first = next(even)
    command = [f"{first.shape[1]}x{first.shape[0]}" if word == "SIZE" else word for word in command]
    with tempfile.TemporaryFile() as log, contextlib.ExitStack() as running:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        running.callback(process.wait)
        running.callback(process.kill)  # where an error or Ctrl-C ends the frames
        assert process.stdin is not None  # as it is a pipe
        with contextlib.suppress(BrokenPipeError):  # it ended early: its log says why
            for frame in chain([first], even):
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.close()
        if process.wait():
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines() or ["it does not say why"]
            raise UnreadableError(f"ffmpeg could not write the video: {lines[-1]}")


def _ffmpeg_command(ffmpeg: str, path: Path, fps: float, source: Path | None, metadata: bool) -> list[str]:
    command = [ffmpeg, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "SIZE", "-r", f"{fps:.6f}"]
    command += ["-i", "-"]
    if source is not None:
        command += ["-i", f"file:{source}", "-map", "0:v", "-map", "1:a?", "-c:a", "aac"]
        command += ["-map_metadata", "1" if metadata else "-1"]
    return [*command, "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
