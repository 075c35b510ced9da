"""Reading and writing the frames of videos, (H, W, 3) uint8 RGB, upright."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from faceedit.errors import UnreadableError
from faceedit.files import temporary_folder, write_atomically
from faceedit.media.provenance import embedded


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
    overwrite: bool = True,
) -> bool:
    """Write frames as MP4, whole or not at all; an odd last row or column is left out, as codecs halve the colours.

    With ffmpeg on the PATH it is H.264, with the sound of the video `source`, and its metadata if asked; else it is
    MPEG-4 by OpenCV, which has neither. xmp: a packet to embed. Returns whether there was an ffmpeg. Raises
    UnreadableError, and ExistsError for a file that is there and not to be overwritten.
    """
    ffmpeg = shutil.which("ffmpeg")
    with temporary_folder("film") as folder:
        part = folder / "video.mp4"
        if ffmpeg:
            _encode_by_ffmpeg(_ffmpeg_command(ffmpeg, part, fps, source, metadata), frames)
        else:
            _encode_by_opencv(part, frames, fps)
        data = part.read_bytes()
        write_atomically(path, embedded(data, xmp) if xmp else data, overwrite=overwrite)
    return ffmpeg is not None


def _even(frame: np.ndarray) -> np.ndarray:
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _encode_by_opencv(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    even = map(_even, frames)
    first = next(even)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, first.shape[1::-1])
    if not writer.isOpened():
        raise UnreadableError("this OpenCV has no MPEG-4 encoder: install ffmpeg")
    count = 0
    for frame in chain([first], even):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        count += 1
    writer.release()
    capture = cv2.VideoCapture(str(path))  # OpenCV does not say when the disk is full
    written = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    if written != count:
        raise UnreadableError(f"cannot write the video: {written} of {count} frames arrived in {path.parent}")


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
