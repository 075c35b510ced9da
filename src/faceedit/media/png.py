"""PNG files as chunks: what stands in them beside the picture, and in which of its texts."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from faceedit.errors import UnreadableError
from faceedit.media.metadata import true_resources

Chunk = tuple[bytes, bytes]  # type and payload
START = b"\x89PNG\r\n\x1a\n"
XMP = b"XML:com.adobe.xmp"
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
# What a PNG's chunks are that are carried, or that say how a picture was stored, shown or last changed.
CHUNKS = {
    *TEXT_CHUNKS,
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI"),
    *(b"sBIT", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"tIME", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"iDOT"),
}
# Texts in which ImageMagick puts what is carried by itself: how each is named and may begin, and what it then is.
XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
RAW_PROFILES = {
    b"Raw profile type exif": ((b"", "exif"),),
    b"Raw profile type APP1": ((b"Exif\0\0", "exif"), (XMP_START, "xmp")),
    b"Raw profile type xmp": ((b"", "xmp"),),
    b"Raw profile type icc": ((b"", "icc_profile"),),
    b"Raw profile type icm": ((b"", "icc_profile"),),
}
RAW_RESOURCES = b"Raw profile type 8bim"
MAX_CHUNKS = 100_000
MAX_RAW = 4 << 20  # bytes of texts in which others stand
MAX_UNREADABLE, MAX_TRIED = 9, 10_000  # chunks: with more of them, all others are left out
MAX_DEFLATED = 1040  # bytes that deflate packs into one, at most
SAMPLES = {2: 3, 4: 2, 6: 4}  # of a pixel, by the type of colour; else one
EMPTY_IDAT = struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG."""
    place = len(START)
    for _ in range(MAX_CHUNKS):
        if len(data) < place + 12:
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def assembled(parts: list[Chunk]) -> bytes:
    """The bytes of a PNG of these chunks."""
    made = [
        struct.pack(">I4s", len(text), kind) + text + struct.pack(">I", zlib.crc32(kind + text)) for kind, text in parts
    ]
    return START + b"".join(made)


def check_whole(data: bytes) -> None:
    """Raise UnreadableError for a PNG with fewer bytes of pixels than its size needs however well they are packed.

    Pillow makes a picture of any size of a few bytes, in black.
    """
    width, height, bits, colours = struct.unpack_from(">IIBB", data, 16)
    packed = sum(len(text) for kind, text in chunks(data) if kind in (b"IDAT", b"fdAT"))
    if packed * MAX_DEFLATED < width * height * bits * SAMPLES.get(colours, 1) // 8:
        raise UnreadableError("image file is truncated")


def without_unreadable(data: bytes) -> tuple[bytes, list[str]]:
    """A PNG without the chunks beside its picture that are damaged or break its reader, and their names."""
    kept: list[bytes] = []
    gone: list[str] = []
    place, head = len(START), b""
    for kind, text in chunks(data):
        whole = data[place : place + 12 + len(text)]
        place += len(whole)
        head = head or START + whole  # with IHDR
        is_picture = kind[:1].isupper()  # what PNG calls critical
        is_tried = len(gone) < MAX_UNREADABLE and len(kept) < MAX_TRIED
        if is_picture or (is_tried and opens(head + whole + EMPTY_IDAT, "PNG")):
            kept.append(whole)
        else:
            gone.append(f"its chunk {kind.decode('latin-1')}, which cannot be read")
    return START + b"".join(kept) + data[place:], list(dict.fromkeys(gone))


def opens(data: bytes, format_: str) -> bool:
    """Whether Pillow's reader of a format opens this file."""
    try:
        with Image.open(io.BytesIO(data), formats=[format_]):
            return True
    except Exception:  # the reader raises whatever it meets
        return False


def texts(data: bytes) -> tuple[Chunk, ...]:
    """A PNG's chunks of text, but those whose content is carried by itself, and what an edit makes untrue."""
    kept: list[Chunk] = []
    left = MAX_RAW
    for kind, text in chunks(data):
        name, _, value = text.partition(b"\0")
        if kind not in TEXT_CHUNKS or name in (XMP, *RAW_PROFILES):
            continue
        if name == RAW_RESOURCES:
            block, cost = _raw_payload(kind, value, left)
            left -= cost
            true = true_resources(block)
            if true is None:
                continue
            if true != block:
                kind, text = b"tEXt", name + b"\0\n8bim\n%8d\n" % len(true) + true.hex("\n", 36).encode() + b"\n"
        kept.append((kind, text))
    return tuple(kept)


def raw_profiles(data: bytes) -> dict[str, bytes]:
    """What a PNG's texts hold that ImageMagick wrote: `exif`, `xmp` and `icc_profile`; b"" where it cannot be read."""
    found: dict[str, bytes] = {}
    left = MAX_RAW
    for kind, text in chunks(data):
        name, _, value = text.partition(b"\0")
        if kind not in (b"tEXt", b"zTXt") or name not in RAW_PROFILES or left <= 0:
            continue
        payload, cost = _raw_payload(kind, value, left)
        left -= cost
        for start, what in RAW_PROFILES[name]:
            if payload.startswith(start):
                found.setdefault(what, payload.removeprefix(XMP_START))
    return found


def _raw_payload(kind: bytes, value: bytes, most: int) -> tuple[bytes, int]:
    """What ImageMagick wrote into a text as hexadecimal digits, and how long these are; b"" where it cannot be read, or
    is longer than `most`."""
    try:
        value = zlib.decompressobj().decompress(value[1:], max(most, 1)) if kind == b"zTXt" else value
        return bytes.fromhex(value.decode("latin-1").split("\n", 3)[3]), len(value)  # behind its name and its length
    except (zlib.error, ValueError, IndexError):
        return b"", len(value)


def comment(chunk: Chunk) -> bytes | None:
    """The text of a PNG's chunk in UTF-8 if it is a comment and not compressed, else None."""
    kind, text = chunk
    key, _, value = text.partition(b"\0")
    if key.lower() != b"comment" or kind == b"zTXt":
        return None
    if kind == b"tEXt":
        return value.decode("latin-1").encode()
    return None if value[:1] != b"\0" else value[2:].split(b"\0", 2)[-1]


def comment_chunk(text: bytes) -> Chunk:
    """A comment of another file, as a PNG's chunk."""
    try:
        words = text.decode()
    except UnicodeDecodeError:
        words = text.decode("latin-1")
    return b"iTXt", b"Comment\0\0\0\0\0" + words.replace("\0", "").encode()
