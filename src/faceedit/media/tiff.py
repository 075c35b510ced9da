"""TIFFs of 8 and 16 bits that Pillow does not read: made anew as one that it does, with the same tags.

These are grey with transparency, colours that lie apart (planar), white as zero, colours multiplied by opacity, and
YCbCr that is not compressed, whose colours may be of fewer pixels.
Pillow does read a grey picture in any compression: with other tags, every such file is one or several.
"""

import io
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image

from faceedit.errors import UnreadableError
from faceedit.media import exif
from faceedit.media.deep import (
    BITS,
    CHANNELS,
    EXTRA_SAMPLES,
    HEIGHT,
    PHOTOMETRIC,
    PREDICTOR,
    SAMPLE_FORMAT,
    WIDTH,
    tiff,
)
from faceedit.media.formats import MAX_PIXELS, TIFF_STARTS, UNREAD_TIFF

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR = 0, 1, 2, 6  # of PHOTOMETRIC
COMPRESSION, STRIP_ROWS, PLANAR, TILE_WIDTH, SUBSAMPLING = 259, 278, 284, 322, 530
PLACES = (273, 279, 324, 325)  # where strips and tiles stand, and how long they are
UNSPECIFIED, MULTIPLIED, STRAIGHT = 0, 1, 2  # of EXTRA_SAMPLES
KINDS = {(WHITE_IS_ZERO, 1), (WHITE_IS_ZERO, 2), (BLACK_IS_ZERO, 1), (BLACK_IS_ZERO, 2), (RGB, 3), (RGB, 4)}
LOOKED_AT = {WIDTH, HEIGHT, BITS, PHOTOMETRIC, CHANNELS, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, PLANAR, TILE_WIDTH}
LOOKED_AT |= {COMPRESSION, STRIP_ROWS, SUBSAMPLING}
GREY = {CHANNELS: 1, PHOTOMETRIC: BLACK_IS_ZERO, PLANAR: 1}  # the tags of what Pillow reads
CARRIED = (exif.XMP, exif.IPTC, exif.PHOTOSHOP, exif.ICC, exif.LAYERS, exif.CREDENTIALS)


class Rebuilt(NamedTuple):
    """The bytes of a file with the same picture and tags. is_grey: it was grey with transparency, and is in colour."""

    data: bytes
    is_grey: bool


def rebuilt(data: bytes) -> Rebuilt | None:
    """A TIFF as one that Pillow reads; None for files that are no such TIFF or that it reads as they are.

    Raises UnreadableError for one that Pillow would read as noise.
    """
    try:
        tags = exif.all_tags(data) if data.startswith(TIFF_STARTS) else {}
        numbers = {number: _numbers(data, tags[number]) for number in tags if number in LOOKED_AT}
        channels = numbers.get(CHANNELS, (1,))[0]
        kind, extra = numbers[PHOTOMETRIC][0], numbers.get(EXTRA_SAMPLES, (STRAIGHT,))
        (bits,) = set(numbers[BITS])
        is_whole = bits in (8, 16) and set(numbers.get(SAMPLE_FORMAT, (1,))) == {1}
    except (KeyError, IndexError, ValueError, struct.error):
        return None
    is_planar = numbers.get(PLANAR, (1,))[0] == 2 and channels > 1
    is_ycbcr = (kind, channels, bits, numbers.get(COMPRESSION, (1,))[0]) == (YCBCR, 3, 8, 1) and not is_planar
    is_odd = is_planar or (channels == 2 and (bits == 16 or (kind, extra[0]) != (BLACK_IS_ZERO, STRAIGHT)))
    is_odd |= bits == 16 and (kind == WHITE_IS_ZERO or (channels == 4 and extra[0] != STRAIGHT))
    if not is_whole or not (is_odd or is_ycbcr):
        return None
    try:
        if (
            not (is_ycbcr or (kind, channels) in KINDS)
            or len(extra) != 1
            or numbers[WIDTH][0] * numbers[HEIGHT][0] > MAX_PIXELS
        ):
            raise ValueError("no such photo")
        if is_ycbcr:
            samples = _from_ycbcr(data, tags, numbers)
        else:
            samples = _meant(_samples(data, tags, numbers, channels, is_planar), kind, extra[0])
        is_grey = samples.shape[2] == 2 and bits == 16
        if is_grey:
            samples = samples[..., [0, 0, 0, 1]]
        carried = {number: tags[number] for number in CARRIED if number in tags}
        made = exif.with_tags(tiff(samples), exif.from_tiff(data), carried)
    except (
        KeyError,
        IndexError,
        ValueError,
        struct.error,
        OSError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        if is_planar and (bits == 16 or (kind, channels) in KINDS):
            raise UnreadableError(UNREAD_TIFF) from error
        return None
    return Rebuilt(made, is_grey)


def _numbers(data: bytes, value: exif.Value) -> tuple[int, ...]:
    kind, count, text = value
    if not isinstance(text, bytes) or kind not in (exif.SHORT, exif.LONG):
        raise ValueError("no numbers")
    order = "<" if data[:1] == b"I" else ">"
    return struct.unpack_from(f"{order}{count}{'H' if kind == exif.SHORT else 'I'}", text)


def _samples(
    data: bytes, tags: exif.Tags, numbers: dict[int, tuple[int, ...]], channels: int, is_planar: bool
) -> np.ndarray:
    """The samples (H, W, C), uint8 or uint16, as they stand in the file."""
    order = "<" if data[:1] == b"I" else ">"
    as_grey: dict[int, exif.Value | None] = {
        **{
            number: (exif.SHORT, 1, struct.pack(order + "H", value))
            for number, value in {**GREY, BITS: numbers[BITS][0]}.items()
        },
        **dict.fromkeys((EXTRA_SAMPLES, SAMPLE_FORMAT, exif.ORIENTATION, exif.ICC)),
    }
    if is_planar:
        parts = []
        for channel in range(channels):
            places = {number: _share(tags[number], channel, channels) for number in PLACES if number in tags}
            parts.append(_grey(exif.with_tags(data, None, {**as_grey, **places})))
        return np.stack(parts, axis=2)
    widths = {
        number: (exif.LONG, 1, struct.pack(order + "I", numbers[number][0] * channels))
        for number in (WIDTH, TILE_WIDTH)
        if number in numbers
    }
    is_difference = (
        channels > 1 and numbers.get(PREDICTOR, (1,))[0] == 2
    )  # to the same channel of the pixel before, in a strip or tile
    if is_difference and TILE_WIDTH in numbers:
        raise ValueError("tiles of differences")
    if is_difference:
        as_grey[PREDICTOR] = (exif.SHORT, 1, struct.pack(order + "H", 1))
    found = _grey(exif.with_tags(data, None, {**as_grey, **widths})).reshape(numbers[HEIGHT][0], -1, channels)
    return np.cumsum(found, axis=1, dtype=found.dtype) if is_difference else found


def _from_ycbcr(data: bytes, tags: exif.Tags, numbers: dict[int, tuple[int, ...]]) -> np.ndarray:
    """The samples (H, W, 3) uint8 in RGB of a picture in strips of blocks: brightnesses, then their colours (TIFF 6.0,
    section 21)."""
    width, height = numbers[WIDTH][0], numbers[HEIGHT][0]
    across, down = numbers.get(SUBSAMPLING, (2, 2))
    if {across, down} - {1, 2, 4}:
        raise ValueError("no such blocks")
    rows = min(numbers.get(STRIP_ROWS, (height,))[0], height)
    strips = []
    for place, length in zip(*(_numbers(data, tags[number]) for number in PLACES[:2]), strict=True):
        blocks = np.frombuffer(data[place : place + length], np.uint8)
        blocks = blocks.reshape(-1, -(-width // across), across * down + 2)
        light = blocks[..., :-2].reshape(len(blocks), -1, down, across).swapaxes(1, 2).reshape(len(blocks) * down, -1)
        colours = blocks[..., -2:].repeat(down, 0).repeat(across, 1)
        strips.append(np.concatenate([light[..., None], colours], axis=2)[:rows, :width])
    picture = np.ascontiguousarray(np.concatenate(strips)[:height])
    if picture.shape != (height, width, 3):
        raise ValueError("not all of it is there")
    return np.asarray(Image.fromarray(picture, "YCbCr").convert("RGB"))


def _share(value: exif.Value, channel: int, channels: int) -> exif.Value:
    kind, count, text = value
    if not isinstance(text, bytes) or count % channels:
        raise ValueError("no share for each channel")
    step = len(text) // channels
    return kind, count // channels, text[channel * step : (channel + 1) * step]


def _grey(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["TIFF"]) as file:
        if file.mode != "L" and not file.mode.startswith("I;16"):
            raise ValueError("no samples of 8 or 16 bits")
        return np.asarray(file).astype(np.uint8 if file.mode == "L" else np.uint16)


def _meant(samples: np.ndarray, kind: int, extra: int) -> np.ndarray:
    """Samples with black as zero and straight transparency; without a further channel that means something else."""
    colours = samples.shape[2] - (samples.shape[2] in (2, 4))
    white = np.iinfo(samples.dtype).max
    if kind == WHITE_IS_ZERO:
        samples[..., :colours] = white - samples[..., :colours]
    if colours < samples.shape[2] and extra == UNSPECIFIED:
        return samples[..., :colours]
    if colours < samples.shape[2] and extra == MULTIPLIED:
        opacity = np.maximum(samples[..., -1:], 1).astype(np.float32)
        samples[..., :colours] = np.minimum(np.rint(samples[..., :colours] / opacity * white), white)
    return samples
