"""JPEG files as a row of segments: what stands beside the picture, behind it, and how the picture is coded."""

import io
import re
import warnings
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from PIL import Image, JpegImagePlugin

from faceedit.errors import UnreadableError
from faceedit.media.png import opens

START, END, SCAN, COMMENT, APP13 = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xFE, 0xED
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data, all but what belongs to it
PHOTOSHOP = b"Photoshop 3.0\0"
MAX_SEGMENT = 65_533  # bytes of payload
MAX_SEGMENTS = 10_000
MAX_SCANS = 200  # each passes over the whole picture; programs write ten
MAX_UNREADABLE = 9  # segments: each costs a copy of the file
PICTURES = "the pictures behind its first"
CREDENTIALS = "its Content Credentials, which held for the file before"
# What segments are whose parts an edited file does not have, by the marker and how the payload begins.
GONE = (
    (0xE1, b"http://ns.adobe.com/xmp/extension/", "its extended XMP"),
    (0xE2, b"urn:iso:std:iso:ts:21496:-1", "its HDR gain map"),
    (0xE2, b"FPXR", "its FlashPix data"),
    (0xEB, b"JP", CREDENTIALS),
)
# Segments that are carried in other ways, or say how the file that goes was made; all others for programs are named.
KNOWN = (
    *((marker, start) for marker, start, _ in GONE),
    (0xE0, b"JFIF"),
    (0xE0, b"JFXX"),  # a thumbnail
    (0xE1, b"Exif\0"),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    (0xE2, b"ICC_PROFILE\0"),
    (0xE2, b"MPF\0"),  # where the pictures behind the first stand
    (APP13, PHOTOSHOP),
    (0xEE, b"Adobe"),
)
FILL = (b"\x55\xaa" * 512, b"\xcc\x33" * 512)  # coded data that no picture ends with


class JpegOptions(TypedDict, total=False):
    """What Pillow compresses a JPEG by: quantisation tables, chroma subsampling, and whether it is progressive."""

    qtables: dict[int, list[int]]
    subsampling: int
    progressive: bool


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, payload) of what stands before the picture's coded data."""
    place = 2
    for _ in range(MAX_SEGMENTS):
        while data[place : place + 2] == b"\xff\xff":
            place += 1
        if data[place : place + 1] != b"\xff" or len(data) < place + 4:
            return
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == SCAN or length < 2:
            return
        yield marker, data[place + 4 : place + 2 + length]
        place += 2 + length


def gone(data: bytes) -> list[str]:
    """The names of parts of a JPEG file that are no part of its first picture."""
    found = [
        name
        for marker, start, name in GONE
        for kind, text in segments(data)
        if (kind, text[: len(start)]) == (marker, start)
    ]
    found += [
        f"its segment APP{marker - 0xE0}"
        for marker, text in segments(data)
        if 0xE0 <= marker <= 0xEF and (marker, True) not in {(kind, text.startswith(start)) for kind, start in KNOWN}
    ]
    behind = data[_end(data) :]
    if b"ftyp" in behind[4:]:
        found.append("its video")
    elif START + b"\xff" in behind and "its HDR gain map" not in found:
        found.append(PICTURES)
    elif len(behind.strip(b"\0\xff \r\n")) > 16:
        found.append("the data behind its picture")
    return list(dict.fromkeys(found))


def comments(data: bytes) -> tuple[bytes, ...]:
    """The texts of a JPEG's comments."""
    return tuple(text for marker, text in segments(data) if marker == COMMENT)


def photoshop(data: bytes) -> bytes:
    """The Photoshop resources of a JPEG, which hold its IPTC."""
    found = [text for marker, text in segments(data) if marker == APP13 and text.startswith(PHOTOSHOP)]
    return b"".join(text[len(PHOTOSHOP) :] for text in found)


def extra_segments(resources: bytes, texts: tuple[bytes, ...]) -> bytes:
    """Segments with Photoshop resources and comments, to stand in front of a picture."""
    step = MAX_SEGMENT - len(PHOTOSHOP)
    pieces = [(APP13, PHOTOSHOP + resources[place : place + step]) for place in range(0, len(resources), step)]
    pieces += [(COMMENT, text[:MAX_SEGMENT]) for text in texts]
    return b"".join(segment(marker, text) for marker, text in pieces)


def segment(marker: int, text: bytes) -> bytes:
    """The bytes of one segment."""
    return bytes([0xFF, marker]) + (len(text) + 2).to_bytes(2, "big") + text


def options(file: JpegImagePlugin.JpegImageFile) -> JpegOptions:
    """How an open JPEG is compressed, so that writing it again the same way loses least.

    Its tables may have any ids, and colours a table each: written are one for brightness, and the finer for colour.
    """
    tables = [file.quantization[layer[3]] for layer in file.layer if layer[3] in file.quantization]
    if len(tables) != len(file.layer) or not tables:
        return {}
    chosen = {0: list(tables[0])}
    if len(tables) > 1:
        chosen[1] = np.min(tables[1:], axis=0).tolist()
    subsampling = JpegImagePlugin.get_sampling(file)
    found: JpegOptions = {"qtables": chosen, "subsampling": subsampling if subsampling >= 0 else 0}
    if file.info.get("progressive"):
        found["progressive"] = True
    return found


def check_scans(data: bytes) -> None:
    """Raise UnreadableError for a JPEG whose picture is passed over so often that decoding it never ends."""
    if sum(data[place - 1] == SCAN for place in _markers(data)) > MAX_SCANS:
        raise UnreadableError(f"it has more than {MAX_SCANS} scans, which no program writes")


def with_end(data: bytes) -> bytes | None:
    """A JPEG whose end marker alone is missing, with it; None where coded data is missing too.

    What is missing would be read from whatever stands there, and so differ with it.
    """
    data = data.rstrip(b"\xff")  # half a marker
    picture, *others = [_decoded(data + fill + END) for fill in (b"", *FILL)]
    if picture is None or any(other is None or not np.array_equal(picture, other) for other in others):
        return None
    return data + END if _all_scans(data) else None


def without_unreadable(data: bytes) -> tuple[bytes, list[str]]:
    """A JPEG without the segments beside its picture that break its reader, and their names."""
    gone: list[str] = []
    for marker, text in segments(data):
        if 0xE0 <= marker <= 0xEF and len(gone) < MAX_UNREADABLE:
            whole = segment(marker, text)
            if not opens(START + whole + SMALLEST[len(START) :], "JPEG"):
                data = data.replace(whole, b"", 1)
                gone.append(f"its segment APP{marker - 0xE0}, which cannot be read")
    return data, gone


def _smallest() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "JPEG")
    return buffer.getvalue()


SMALLEST = _smallest()


def _decoded(data: bytes) -> np.ndarray | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as file:
                return np.asarray(file)
    except Exception:  # the decoder raises whatever it meets
        return None


def _all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG bring all coefficients of all colours to their last bit."""
    missing: set[tuple[int, int]] = set()
    for marker, text in segments(data):
        if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) and len(text) > 5:
            missing = {(number, k) for number in text[6::3][: text[5]] for k in range(64)}
    for place in _markers(data):
        length = int.from_bytes(data[place : place + 2], "big")
        if data[place - 1] == SCAN and length > 5:
            text = data[place + 2 : place + length]
            first, last, bits = text[-3:]
            if not bits & 15:
                missing -= {(number, k) for number in text[1:-3:2] for k in range(first, last + 1)}
    return not missing


def _end(data: bytes) -> int:
    """Where the first picture ends."""
    last = max(_markers(data), default=0)
    return last if data[last - 1 : last] == END[1:] else len(data)


def _markers(data: bytes) -> Iterator[int]:
    """Yield where the payload of each marker begins, up to the end of the first picture."""
    place = 2
    while (match := MARKER.search(data, place)) is not None:
        place = match.end()
        yield place
        if data[place - 1] == END[1]:
            return
        place += max(int.from_bytes(data[place : place + 2], "big"), 2)
