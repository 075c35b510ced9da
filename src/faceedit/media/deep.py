"""Samples of 16 bits: read where Pillow gives 8, moved as far as an edit moves these, and written as PNG and TIFF.

What an edit leaves alone keeps its 16 bits. Samples are (H, W, C) uint16: grey or RGB, with or without transparency.
"""

import struct
import zlib

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from faceedit.media import png
from faceedit.media.exif import SHORT, Tags, assembled
from faceedit.media.png import Chunk, chunks

# Nothing is printed, as OpenCV else does of what it thinks of a file's tags. Before 5.0 it stood elsewhere.
getattr(cv2.utils, "logging", cv2).setLogLevel(0)
STEP = 257  # from a sample of 8 bits to the next, in 16
MAX_DIFFERENCE = 2.0  # of 255, on average, between OpenCV's reading and Pillow's
BLOCK_ROWS = 256
PNG_GREY, PNG_ALPHA = (0, 4), (4, 6)  # colour types of a PNG
PIXEL_CHUNKS = (b"IHDR", b"tRNS", b"IDAT", b"IEND")  # of others OpenCV would print what it thinks
PNG_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, CHANNELS = 256, 257, 258, 259, 262, 273, 277
STRIP_ROWS, STRIP_LENGTHS, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT = 278, 279, 317, 338, 339
DEFLATE, BLACK_IS_ZERO, RGB, STRAIGHT_ALPHA, LONG = 8, 1, 2, 2, 4


def is_deep(file: Image.Image, data: bytes) -> bool:
    """Whether an open PNG or TIFF has samples of 16 bits, whole numbers, of a kind that is read here."""
    if file.format == "PNG":
        return data[24:25] == b"\x10"
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return False
    tags = file.tag_v2
    whole = set(tags.get(SAMPLE_FORMAT, (1,))) == {1} and tags.get(PHOTOMETRIC) in (BLACK_IS_ZERO, RGB)
    return whole and set(tags.get(BITS, (1,))) == {16} and tags.get(EXTRA_SAMPLES, (2,)) == (2,)


def read(data: bytes, orientation: int) -> np.ndarray | None:
    """The samples of a PNG or TIFF of 16 bits, turned upright from this EXIF orientation; None where that fails."""
    is_png = data.startswith(png.START)
    plain = png.assembled([chunk for chunk in chunks(data) if chunk[0] in PIXEL_CHUNKS]) if is_png else data
    try:
        found = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint16:
        return None
    if found.ndim == 2:
        found = found[..., None]
    elif found.shape[2] in (3, 4):
        found = found[..., [2, 1, 0, 3][: found.shape[2]]]
    if is_png and data[25] in PNG_GREY and found.shape[2] > 1:
        found = found[..., [0, 3]] if found.shape[2] == 4 else found[..., :1]
    if is_png and data[25] == 0 and found.shape[2] == 1:  # of a grey one OpenCV does not see the transparent value
        found = _with_transparent_value(found, data)
    return np.ascontiguousarray(_upright(found, orientation) if is_png else found)  # a TIFF, OpenCV has turned


def eight_bits_of(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H, W, 3) uint8, and the transparency (H, W) uint8 or None, of samples."""
    small = np.empty(samples.shape, np.uint8)
    for start in range(0, len(samples), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        small[rows] = (samples[rows].astype(np.uint32) + STEP // 2) // STEP
    count = samples.shape[2]
    pixels = small[..., :3] if count > 2 else np.repeat(small[..., :1], 3, axis=2)
    return np.ascontiguousarray(pixels), np.ascontiguousarray(small[..., -1]) if count in (2, 4) else None


def agrees(samples: np.ndarray, pixels: np.ndarray) -> bool:
    """Whether samples show the same picture as pixels (H, W, 3) uint8."""
    if samples.shape[:2] != pixels.shape[:2]:
        return False
    step = max(1, len(pixels) // 64)
    small, _ = eight_bits_of(samples[::step])
    return float(np.abs(small.astype(np.int16) - pixels[::step]).mean()) <= MAX_DIFFERENCE


def moved(samples: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The samples changed by as much as pixels (H, W, 3) uint8 are from `before` to `after`."""
    rows = np.flatnonzero((before != after).any(axis=(1, 2)))
    if not len(rows):
        return samples
    samples = samples.copy()
    count = 3 if samples.shape[2] > 2 else 1
    for row in rows:
        change = after[row].astype(np.int32) - before[row]
        if count == 1:  # the edit of a grey photo, as it is written
            change = np.rint(change @ (0.299, 0.587, 0.114)).astype(np.int32)[:, None]
        samples[row, :, :count] = np.clip(samples[row, :, :count] + change * STEP, 0, 65535)
    return samples


def flattened(samples: np.ndarray) -> np.ndarray:
    """The samples on white, without transparency."""
    if samples.shape[2] not in (2, 4):
        return samples
    opacity = samples[..., -1:].astype(np.float32) / 65535
    return np.rint(samples[..., :-1] * opacity + 65535 * (1 - opacity)).astype(np.uint16)


def png_chunks(samples: np.ndarray) -> tuple[Chunk, Chunk]:
    """The IHDR and IDAT of a PNG with these samples."""
    height, width, count = samples.shape
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    lines = np.empty((height, rows.shape[1] + 1), np.uint8)
    lines[:, 0] = 2  # each line is written as its difference to the one above
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 16, PNG_TYPES[count], 0, 0, 0)
    return (b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 4))


def tiff(samples: np.ndarray) -> bytes:
    """The bytes of a TIFF, deflated, with samples (H, W, 1 to 4) of 8 or 16 bits."""
    height, width, count = samples.shape
    bits = samples.dtype.itemsize * 8
    strips = []
    for start in range(0, height, BLOCK_ROWS):
        rows = samples[start : start + BLOCK_ROWS]
        rows = np.concatenate([rows[:, :1], np.diff(rows, axis=1)], axis=1)  # as predictor 2 means
        strips.append(zlib.compress(rows.astype(f"<u{bits // 8}").tobytes(), 6))
    places = np.cumsum([8, *map(len, strips)])
    end = int(places[-1]) + int(places[-1]) % 2

    def numbers(kind: int, *values: int) -> tuple[int, int, bytes]:
        return kind, len(values), np.array(values, "<u2" if kind == SHORT else "<u4").tobytes()

    tags: Tags = {
        WIDTH: numbers(LONG, width),
        HEIGHT: numbers(LONG, height),
        BITS: numbers(SHORT, *[bits] * count),
        COMPRESSION: numbers(SHORT, DEFLATE),
        PHOTOMETRIC: numbers(SHORT, RGB if count > 2 else BLACK_IS_ZERO),
        STRIPS: numbers(LONG, *places[:-1].tolist()),
        CHANNELS: numbers(SHORT, count),
        STRIP_ROWS: numbers(LONG, BLOCK_ROWS),
        STRIP_LENGTHS: numbers(LONG, *map(len, strips)),
        PREDICTOR: numbers(SHORT, 2),
    }
    if count in (2, 4):
        tags[EXTRA_SAMPLES] = numbers(SHORT, STRAIGHT_ALPHA)
    body = b"".join(strips).ljust(end - 8, b"\0")
    return b"II*\0" + struct.pack("<I", end) + body + assembled("<", tags, end)


def _with_transparent_value(samples: np.ndarray, data: bytes) -> np.ndarray:
    """Grey samples with what the tRNS chunk of their PNG says is transparent, if it has one."""
    key = next((text for kind, text in chunks(data) if kind == b"tRNS"), b"")
    if len(key) != 2:
        return samples
    opaque = samples != int.from_bytes(key, "big")
    return np.concatenate([samples, opaque.astype(np.uint16) * 65535], axis=2)


def _upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples
