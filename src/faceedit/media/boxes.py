"""AVIF and HEIC files as boxes (ISO 14496-12 and 23008-12), and WebP as chunks: what they hold beside the pixels."""

import struct
from collections.abc import Iterator

CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # how a box of Content Credentials (C2PA) begins
# What a WebP's chunks and an AVIF's or HEIC's boxes are that have to do with its pictures, or with nothing.
WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP ")
BOXES = (b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"idat")
MAX_PIECES = 1000  # boxes or chunks in a row that are looked at


def code_points(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer (H.273) of the primary picture of an AVIF or HEIC file, or None where it does not say."""
    colours = [text for kind, text in picture_properties(data) if kind == b"colr" and text[:4] == b"nclx"]
    found = struct.unpack_from(">HH", colours[0], 4) if colours and len(colours[0]) >= 8 else None
    return found and (found[0], found[1])


def bits_a_sample(data: bytes) -> int:
    """Of the primary picture of an AVIF or HEIC file, as it says; 8 where it does not."""
    for kind, text in picture_properties(data):
        if kind == b"pixi" and len(text) > 5:
            return text[5]
        if kind == b"av1C" and len(text) > 2 and text[2] & 0x40:
            return 12 if text[2] & 0x20 else 10
    return 8


def has_item(data: bytes, kind: bytes) -> bool:
    """Whether an AVIF or HEIC file has an item of this type, such as tmap, the gain map of an HDR photo."""
    return any(name == b"iinf" and kind in text for name, text in _boxes(_meta(data)))


def has_box(data: bytes, kind: bytes, start: bytes = b"") -> bool:
    """Whether an AVIF or HEIC file has such a box beside its pictures, with a payload that begins so."""
    return any(name == kind and text.startswith(start) for name, text in _boxes(data))


def auxiliaries(data: bytes) -> list[str]:
    """What an AVIF or HEIC file holds beside pictures and transparency: a name of each kind, such as depth."""
    meta = dict(_boxes(_meta(data)))
    inner = dict(_boxes(meta.get(b"iprp", b"")))
    kinds = [text[4:].split(b"\0")[0].lower() for kind, text in _boxes(inner.get(b"ipco", b"")) if kind == b"auxC"]
    return [kind.decode("latin-1") for kind in kinds if b"alpha" not in kind and not kind.endswith(b"auxid:1")]


def other_boxes(data: bytes) -> list[bytes]:
    """The types of the boxes of an AVIF or HEIC file that have nothing to do with its pictures, and are no claim."""
    return [kind for kind, text in _boxes(data) if kind not in BOXES and (kind, text[:16]) != (b"uuid", CREDENTIALS)]


def riff_kinds(data: bytes) -> Iterator[bytes]:
    """Yield the types of the chunks of a WebP."""
    place = 12
    for _ in range(MAX_PIECES):
        if len(data) < place + 8:
            return
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind
        place += 8 + length + length % 2


def picture_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """The properties (type, payload) of an AVIF or HEIC file's primary item (ISO 23008-12); [] where none is found."""
    meta = dict(_boxes(_meta(data)))
    inner = dict(_boxes(meta.get(b"iprp", b"")))
    properties = list(_boxes(inner.get(b"ipco", b"")))
    try:
        primary = struct.unpack_from(">I" if meta[b"pitm"][0] else ">H", meta[b"pitm"], 4)[0]
        wanted = _associations(inner[b"ipma"], primary)
    except (KeyError, IndexError, struct.error):
        return []
    return [properties[index - 1] for index in wanted if 0 < index <= len(properties)]


def _meta(data: bytes) -> bytes:
    """What an AVIF or HEIC file says of its items: the boxes in its first meta box."""
    return next((text for kind, text in _boxes(data) if kind == b"meta"), b"")[4:]


def _associations(text: bytes, wanted: int) -> list[int]:
    """The numbers, from 1, of an item's properties in an ipma box."""
    version, flags, count = text[0], text[3], struct.unpack_from(">I", text, 4)[0]
    place = 8
    for _ in range(min(count, len(text))):
        item = struct.unpack_from(">I" if version else ">H", text, place)[0]
        place += 4 if version else 2
        number, place = text[place], place + 1
        width = 2 if flags & 1 else 1
        entries = text[place : place + width * number]
        place += width * number
        if item == wanted:
            mask = 0x7FFF if width == 2 else 0x7F
            return [int.from_bytes(entries[i : i + width], "big") & mask for i in range(0, len(entries), width)]
    return []


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, payload) of the boxes of ISO 14496-12 that stand in a row."""
    place = 0
    for _ in range(MAX_PIECES):
        if len(data) < place + 8:
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1 and len(data) >= place + 16:
            length, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        length = length or len(data) - place
        if length < head:
            return
        yield kind, data[place + head : place + length]
        place += length
