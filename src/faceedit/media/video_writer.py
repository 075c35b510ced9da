"""Encoding frames with PyAV: the colours and depth of a source, its time stamps, and its sound."""

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from faceedit.errors import UnwritableError
from faceedit.files import temporary_folder, write_atomically
from faceedit.media.provenance import embedded

UNSAID = 2  # a colour tag, in all of ITU-T H.273
MATRICES = {1: Colorspace.ITU709, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}
# By eye as good as the source, and fast enough for two cores.
H264 = "libx264", {"crf": "18", "preset": "veryfast"}
HEVC = "libx265", {"crf": "18", "preset": "veryfast", "x265-params": "log-level=error"}  # 10 bits that phones play
PRORES = "prores_ks", {"profile": "4444"}
LAYOUTS = {1: "mono", 6: "5.1"}  # of sound with so many channels
H264_FORMATS = ("yuv420p", "yuv422p", "yuv444p")
HEVC_FORMATS = ("yuv420p10le", "yuv422p10le", "yuv444p10le")


@dataclass(frozen=True)
class Format:
    """How the pixels of a video are stored. matrix, primaries, transfer: as in ITU-T H.273; full: range 0 to 255."""

    pixels: str = "yuv420p"
    bits: int = 8
    alpha: bool = False
    matrix: int = 1
    primaries: int = 1
    transfer: int = 1
    full: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Self:
        name, kinds = frame.format.name, frame.format.components
        rgb = is_rgb(name)  # which is written in other formats
        return cls(
            name,
            max(kind.bits for kind in kinds),
            any(kind.is_alpha for kind in kinds),
            1 if rgb else int(frame.colorspace),
            int(frame.color_primaries),
            int(frame.color_trc),
            not rgb and (frame.color_range == ColorRange.JPEG or name.startswith("yuvj")),
        )

    @property
    def rgb(self) -> str:
        """FFmpeg's name of RGB with as many bits."""
        return "rgba64le" if self.alpha else "rgb48le" if self.bits > 8 else "rgb24"

    def to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3 or 4) uint8 or uint16."""
        if is_rgb(self.pixels):
            return frame.reformat(format=self.rgb).to_ndarray()
        matrix, ranges = MATRICES.get(self.matrix, Colorspace.ITU601), (self._range, ColorRange.JPEG)
        made = frame.reformat(
            format=self.rgb, src_colorspace=matrix, src_color_range=ranges[0], dst_color_range=ranges[1]
        )
        return made.to_ndarray()

    def from_rgb(self, pixels: np.ndarray, stored: str) -> av.VideoFrame:
        """A frame in the pixel format `stored`."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), self.rgb)
        matrix, ranges = MATRICES.get(self.matrix, Colorspace.ITU601), (ColorRange.JPEG, self._range)
        return frame.reformat(
            format=stored, dst_colorspace=matrix, src_color_range=ranges[0], dst_color_range=ranges[1]
        )

    def stored(self, frame: av.VideoFrame, stored: str, width: int, height: int) -> av.VideoFrame:
        """A frame in another pixel format and size, its colours as they are."""
        if (frame.format.name, frame.width, frame.height) == (stored, width, height):
            return frame
        return frame.reformat(width, height, stored, src_color_range=self._range, dst_color_range=self._range)

    @property
    def _range(self) -> ColorRange:
        return ColorRange.JPEG if self.full else ColorRange.MPEG

    def encoder(self, alpha: bool) -> tuple[str, dict[str, str], str]:
        """The encoder for such pixels, its options and pixel format. alpha: keep the transparency."""
        if alpha:
            return (*PRORES, "yuva444p10le")
        (name, options), formats = (HEVC, HEVC_FORMATS) if self.bits > 8 else (H264, H264_FORMATS)
        same = self.pixels.replace("yuvj", "yuv").replace("yuva", "yuv")
        same = formats[2] if is_rgb(self.pixels) else same
        return name, options, next((known for known in formats if same.startswith(known)), formats[0])


def is_rgb(name: str) -> bool:
    kind = av.VideoFormat(name)
    return kind.is_rgb or kind.has_palette


class Encoder:
    """Writes frames into a new file, which is complete when its `with` ends without an error.

    path: what errors call the file `part`. source: the file whose times, sound and, if asked, metadata are kept;
    without one, frames come at `fps`. aspect: the width of a pixel by its height. Raises UnwritableError.
    """

    def __init__(
        self,
        part: Path,
        path: Path,
        pixels: Format,
        source: InputContainer | None = None,
        metadata: bool = True,
        aspect: float = 1.0,
        fps: float = 25.0,
    ):
        self._path, self._format, self._count = path, pixels, 0
        self._last: int | None = None
        with _writing(path):
            self._file: OutputContainer = av.open(f"file:{part}", "w", options={"movflags": "+faststart"})
        alpha = pixels.alpha and path.suffix.lower() == ".mov"
        name, options, self._stored = pixels.encoder(alpha)
        stream = source.streams.video[0] if source else None
        rate = stream.average_rate or stream.guessed_rate if stream else None
        self._rate = rate or Fraction(fps).limit_denominator(1001)
        self._stream = cast(VideoStream, self._file.add_stream(name, self._rate, options))
        self._stream.pix_fmt = self._stored
        self._stream.sample_aspect_ratio = Fraction(aspect).limit_denominator(1000)
        context = self._stream.codec_context
        context.time_base = stream.time_base if stream and stream.time_base else 1 / self._rate
        context.color_range = ColorRange.JPEG if pixels.full else ColorRange.MPEG
        context.colorspace, context.color_primaries = pixels.matrix or UNSAID, pixels.primaries
        context.color_trc = pixels.transfer
        context.flags |= Flags.frame_duration
        if name == "libx265":
            context.codec_tag = "hvc1"  # as Apple's players want it
        self._sound = _Sound(source, self._file) if source else None
        if source and metadata:
            self._file.metadata.update(source.metadata)

    def __enter__(self) -> Self:
        return self

    def put(self, frame: np.ndarray | av.VideoFrame, like: av.VideoFrame | None = None) -> None:
        """Append a frame, in RGB as `Format.rgb` or as it was stored. like: has its time."""
        if isinstance(frame, av.VideoFrame):
            even = self._even(frame.width, frame.height) == (frame.width, frame.height)
            if not even or is_rgb(frame.format.name):
                frame = self._format.to_rgb(frame)
        if not isinstance(frame, av.VideoFrame):
            width, height = self._even(frame.shape[1], frame.shape[0])
            frame = self._format.from_rgb(frame[:height, :width], self._stored)
        if not self._count:
            self._stream.width, self._stream.height = frame.width, frame.height
        frame = self._format.stored(frame, self._stored, self._stream.width, self._stream.height)
        self._set_time(frame, like)
        frame.pict_type = PictureType.NONE  # the encoder chooses where a picture begins anew
        self._count += 1
        with _writing(self._path):
            self._mux(self._stream.encode(frame))

    def _set_time(self, frame: av.VideoFrame, like: av.VideoFrame | None) -> None:
        """The source's time, or the next, where it says none; two frames of one time cannot be written."""
        base = self._stream.codec_context.time_base if like is None or like.time_base is None else like.time_base
        pts = like.pts if like is not None else None
        if pts is None:
            pts = 0 if self._last is None else self._last + max(round(1 / self._rate / base), 1)
        elif self._last is not None:
            pts = max(pts, self._last + 1)
        frame.pts, frame.time_base, self._last = pts, base, pts
        if like is not None and like.duration:
            frame.duration = like.duration

    def _even(self, width: int, height: int) -> tuple[int, int]:
        """The size without what the colours' resolution leaves over."""
        across, down = 1 if "444" in self._stored else 2, 2 if "420" in self._stored else 1
        return width // across * across, height // down * down

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        for packet in packets:
            packet.stream = self._stream
            if self._sound is not None:
                self._sound.mux(_begin(packet))
            self._file.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._file.close()
            return
        with _writing(self._path), contextlib.closing(self._file):
            if not self._count:
                raise UnwritableError("there is no frame to write")
            self._mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.mux(math.inf)


class _Sound:
    """The sound of a file on its way into another: as it is, or as AAC where the other cannot hold its codec."""

    def __init__(self, source: InputContainer, target: OutputContainer):
        self._target = target
        known = [stream for stream in source.streams.audio if stream.codec_context is not None]
        self._streams: dict[int, AudioStream] = {}
        for stream in known:
            if stream.codec.canonical_name in target.supported_codecs:
                self._streams[stream.index] = target.add_stream_from_template(stream)
            else:
                layout = LAYOUTS.get(stream.layout.nb_channels, "stereo")  # the file may not name its own
                self._streams[stream.index] = target.add_stream("aac", stream.rate, layout=layout)
        self._packets = self._read(source, known)
        self._next = next(self._packets, None)

    def mux(self, until: float) -> None:
        """Write what begins up to a time, in seconds."""
        while self._next is not None and _begin(self._next) <= until:
            self._target.mux(self._next)
            self._next = next(self._packets, None)

    def _read(self, source: InputContainer, streams: list[AudioStream]) -> "Iterator[av.Packet[Any]]":
        if not streams:
            return
        for packet in source.demux(streams):
            target = self._streams[packet.stream.index]
            if target.codec_context.is_encoder:
                for frame in packet.decode():
                    yield from target.encode(cast(av.AudioFrame, frame))
            elif packet.dts is not None:
                packet.stream = target
                yield packet
        for target in self._streams.values():
            if target.codec_context.is_encoder:
                yield from target.encode(None)


def _begin(packet: "av.Packet[Any]") -> float:
    """When a packet is read, in seconds."""
    return float(packet.dts * packet.time_base) if packet.dts is not None and packet.time_base else -math.inf


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise UnwritableError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


def write_whole(path: Path, write: Callable[[Path], None], xmp: bytes | None, overwrite: bool) -> None:
    """Let `write` make a file of a path's kind, and put it there with an XMP packet when it is done.

    Raises UnwritableError, ExistsError.
    """
    with temporary_folder("film") as folder:
        part = folder / f"video{path.suffix.lower()}"
        write(part)

        def copy(file: IO[bytes]) -> None:
            with part.open("rb") as made:
                shutil.copyfileobj(made, file)
            if xmp:
                file.write(embedded(b"", xmp))

        write_atomically(path, copy, overwrite=overwrite)
