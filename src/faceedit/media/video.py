"""Reading and editing videos with PyAV, which brings FFmpeg.

Frames are (H, W, 3) uint8 RGB, as they are shown: upright, with square pixels. What is written keeps the source's time
stamps, pixel aspect, colours, depth and sound.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer

from faceedit.errors import UnreadableError, UsageError, missing
from faceedit.media.video_writer import Encoder, Format, write_whole

# Demuxers and protocols that open no other file: a playlist could name addresses of the network.
READ_OPTIONS = {"format_whitelist": "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg", "protocol_whitelist": "file"}
SUFFIXES = (".mp4", ".mov")  # of what is written
AHEAD = 4  # frames between reading, editing and writing, each in a thread of its own


@dataclass(frozen=True)
class Video:
    """A video file: its mean frame rate, its number of frames according to the header, their size in pixels as
    they are shown, and whether they are transparent in parts.
    """

    path: Path
    fps: float
    frames: int
    width: int
    height: int
    alpha: bool

    def __iter__(self) -> Iterator[np.ndarray]:
        return (picture.shown for picture in _ahead(_pictures(self.path)))


class Picture:
    """A frame of a file as it is stored, and as it is shown.

    aspect: the width of a pixel by its height, as it is stored.
    """

    def __init__(self, frame: av.VideoFrame, aspect: float):
        self.frame = frame
        self.turns = round(frame.rotation / 90) % 4  # counter-clockwise, to be upright
        self.aspect = 1 / aspect if self.turns % 2 else aspect

    @cached_property
    def upright(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB; uint16 where a colour has more than 8 bits, and (H, W, 4) where it has transparency."""
        pixels = Format.of(self.frame).to_rgb(self.frame)
        return np.ascontiguousarray(np.rot90(pixels, self.turns)) if self.turns else pixels

    @cached_property
    def shown(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB with square pixels."""
        pixels = self.upright[..., :3]
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        if self.aspect == 1:
            return pixels
        height, width = pixels.shape[:2]
        stretch = max(self.aspect, 1), max(1 / self.aspect, 1)  # never shrunk
        return cv2.resize(pixels, (round(width * stretch[0]), round(height * stretch[1])))

    def with_edit(self, edited: np.ndarray) -> np.ndarray:
        """What is stored, with the change that was made in what is shown."""
        if self.upright is self.shown:
            return edited
        change = edited.astype(np.int16) - self.shown
        height, width = self.upright.shape[:2]
        if change.shape[:2] != (height, width):
            change = cv2.resize(change, (width, height), interpolation=cv2.INTER_AREA)
        stored, white = self.upright.copy(), np.iinfo(self.upright.dtype).max
        steps = change.astype(np.int32) * (257 if white > 255 else 1)
        stored[..., :3] = (stored[..., :3] + steps).clip(0, white)
        return stored


def check_output(path: Path) -> None:
    """Raise UsageError where `rewrite_video` cannot write such a file."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a video is written as .mp4 or .mov, not as {path.suffix or 'a file without ending'}")


def open_video(path: Path) -> Video:
    """Raises UnreadableError for a file that is missing, is no video, or has a codec that is not known."""
    with _readable(path) as file:
        stream = file.streams.video[0]
        first = next(_pictures(path), None)
        if first is None:
            raise UnreadableError(f"cannot read {path}: it holds no frame that can be read")
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        seconds = float(file.duration or 0) / av.time_base
        height, width = first.shown.shape[:2]
        return Video(
            path,
            rate if 0.1 <= rate <= 1000 else 25.0,
            max(stream.frames or round(seconds * rate), 1),
            width,
            height,
            Format.of(first.frame).alpha,
        )


def rewrite_video(
    video: Video,
    path: Path,
    edit: Callable[[Iterator[np.ndarray]], Iterator[np.ndarray]],
    xmp: bytes | None = None,
    metadata: bool = True,
    overwrite: bool = True,
) -> None:
    """Write a video with its frames edited, as MP4 or MOV, whole or not at all.

    edit: gives a frame of the same size for each that it takes, in order. xmp: a packet to embed. metadata: keep what
    the file says of itself, such as its title and place. Transparency is kept in MOV (ProRes 4444). An odd last row or
    column is left out where colours have half the resolution. Reading, editing and writing overlap. Raises
    UnreadableError, UnwritableError, and ExistsError for a file that is there and not to be overwritten.
    """
    taken: deque[Picture] = deque()

    def shown() -> Generator[np.ndarray, None, None]:
        with contextlib.closing(_ahead(_pictures(video.path))) as pictures:
            for picture in pictures:
                taken.append(picture)
                yield picture.shown

    def put(encoder: Encoder, picture: Picture, edited: np.ndarray) -> None:
        unchanged = edited is picture.shown and not picture.turns
        encoder.put(picture.frame if unchanged else picture.with_edit(edited), picture.frame)

    def write(part: Path) -> None:
        first = next(_pictures(video.path))
        with (
            _readable(video.path) as source,
            Encoder(part, path, Format.of(first.frame), source, metadata, first.aspect) as encoder,
            ThreadPoolExecutor(1) as pool,
            contextlib.closing(shown()) as frames,
        ):
            begun: deque[Future[None]] = deque()
            for edited in edit(frames):
                begun.append(pool.submit(put, encoder, taken.popleft(), edited))
                if len(begun) > AHEAD:
                    begun.popleft().result()
            for done in begun:
                done.result()

    write_whole(path, write, xmp, overwrite)


def write_video(
    path: Path, frames: Iterable[np.ndarray], fps: float, xmp: bytes | None = None, overwrite: bool = True
) -> None:
    """Write frames as MP4, evenly spaced, whole or not at all; an odd last row or column is left out.

    xmp: a packet to embed. Raises UnwritableError, and ExistsError for a file that is there and not to be overwritten.
    """

    def write(part: Path) -> None:
        with Encoder(part, path, Format(), fps=fps) as encoder:
            for frame in frames:
                encoder.put(frame)

    write_whole(path, write, xmp, overwrite)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[InputContainer]:
    """An open video file with a video in it. Raises UnreadableError."""
    if not path.is_file():
        raise missing(path)
    try:
        file = av.open(f"file:{path}", options=READ_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableError(f"cannot read {path}: it is no video in a format that is read") from error
    with file:
        if not file.streams.video or file.streams.video[0].codec_context is None:
            raise UnreadableError(f"cannot read {path}: it holds no video whose codec is known")
        yield file


def _pictures(path: Path) -> Iterator[Picture]:
    """The frames that can be read, in the order of their times."""
    with _readable(path) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        for packet in file.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:  # one packet is damaged: the others may not be
                continue
            for frame in frames:
                yield Picture(frame, float(stream.sample_aspect_ratio or 1))


def _ahead(pictures: Iterator[Picture]) -> Generator[Picture, None, None]:
    """The same, read and converted in a thread before they are asked for."""

    def following() -> Picture | None:
        picture = next(pictures, None)
        if picture is not None:
            picture.shown  # noqa: B018 - in this thread
        return picture

    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(following) for _ in range(AHEAD))
        try:
            while (picture := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(following))
                yield picture
        finally:
            for future in waiting:
                future.cancel()
