"""What a photo's file says beside its pixels and EXIF: kept, unless it describes parts that an edited file lacks.

XMP is changed only where it does; Photoshop's resources hold IPTC; PNG's texts are kept as chunks.
"""

import io
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator

from PIL import Image

from faceedit.media.provenance import packet_of, parsed_packet

Chunk = tuple[bytes, bytes]  # type and payload
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_XMP = b"XML:com.adobe.xmp"
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
SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")  # how a resource begins: Photoshop's and others'
IPTC_RESOURCE = 0x0404
RAW_RESOURCES = b"Raw profile type 8bim"
# Photoshop's resources that an edit makes untrue or that are carried by themselves: layers, thumbnails, slices, ICC,
# EXIF, XMP.
STALE_RESOURCES = {1024, 1026, 1033, 1036, 1039, 1050, 1058, 1059, 1060, 1069, 1072}

VIDEO, GAIN_MAP, EXTENDED = "its video", "its HDR gain map", "its extended XMP"
GOOGLE = "http://ns.google.com/photos/1.0/"
TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
# Names in XMP, by how they begin, that describe parts which are gone, and what these are; None: not to be mentioned.
GONE_XMP: dict[str, str | None] = {
    f"{{{GOOGLE}camera/}}Motion": VIDEO,
    f"{{{GOOGLE}camera/}}MicroVideo": VIDEO,
    f"{{{GOOGLE}container/}}": None,
    f"{{{GOOGLE}container/item/}}": None,
    f"{{{GOOGLE}image/}}": "its original picture",
    f"{{{GOOGLE}depthmap/}}": "its depth map",
    f"{{{GOOGLE}audio/}}": "its sound",
    "{http://ns.google.com/photos/dd/1.0/": "its depth map",
    "{http://ns.adobe.com/hdr-gain-map/1.0/}": GAIN_MAP,
    "{http://ns.apple.com/HDRGainMap/1.0/}": GAIN_MAP,
    "{http://ns.adobe.com/xmp/note/}HasExtendedXMP": EXTENDED,
    "{http://ns.adobe.com/xap/1.0/}Thumbnails": None,
    "{http://ns.adobe.com/photoshop/1.0/}TextLayers": None,
    "{http://purl.org/dc/terms/}provenance": None,
    f"{{{TIFF}}}Orientation": None,  # which has been applied
}
# The same where a photo was turned upright: places in it would be wrong.
REGIONS = "its regions of faces, as it was turned"
GONE_TURNED = {
    "{http://www.metadataworkinggroup.com/schemas/regions/}": REGIONS,
    "{http://ns.microsoft.com/photo/1.2/}RegionInfo": REGIONS,
}
# Names in XMP of a size in pixels, and which of width and height each is.
SIZES_XMP = {
    f"{{{TIFF}}}ImageWidth": 0,
    f"{{{TIFF}}}ImageLength": 1,
    f"{{{EXIF}}}PixelXDimension": 0,
    f"{{{EXIF}}}PixelYDimension": 1,
}
GONE_MARKS = tuple({name[1:].partition("}")[0].encode() for name in (*GONE_XMP, *GONE_TURNED, *SIZES_XMP)})
MAX_CHUNKS = 100_000
MAX_RAW = 4 << 20  # bytes of texts in which others stand
MAX_UNREADABLE, MAX_TRIED = 9, 10_000  # chunks: with more of them, all others are left out
EMPTY_IDAT = struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))


def true_xmp(packet: bytes, size: tuple[int, int], turned: bool = False) -> tuple[bytes | None, list[str]]:
    """The packet upright, of this size in pixels and without what it says of parts that are gone, and their names.

    turned: the photo lay otherwise in its file. None where nothing can be kept.
    """
    if not any(mark in packet for mark in GONE_MARKS):
        return packet, []
    root = parsed_packet(packet)
    if root is None:
        return None, ["its XMP, which cannot be read"]
    found: list[str] = []
    gone = {**GONE_XMP, **(GONE_TURNED if turned else {})}
    starts = tuple(gone)

    def is_gone(name: str) -> bool:
        if not name.startswith(starts):  # at once: there may be many
            return False
        what = next(gone[start] for start in starts if name.startswith(start))
        found.extend([what] if what else [])
        return True

    changed = False
    for element in list(root.iter()):
        attributes = [name for name in element.attrib if is_gone(name)]
        children = {child for child in element if is_gone(str(child.tag))}
        for name in attributes:
            del element.attrib[name]
        if children:
            element[:] = [child for child in element if child not in children]
        changed = _has_new_size(element, size) or changed or bool(attributes or children)
    return (packet_of(root) if changed else packet), list(dict.fromkeys(found))


def _has_new_size(element: ET.Element, size: tuple[int, int]) -> bool:
    """Put the size where an element says another one, and return whether it did."""
    changed = False
    for name, axis in SIZES_XMP.items():
        true = str(size[axis])
        if element.get(name, true).strip() != true:
            element.set(name, true)
            changed = True
        if element.tag == name and (element.text or "").strip() != true:
            element.text = true
            changed = True
    return changed


def resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, whole bytes) of each of Photoshop's resources in a block; what cannot be read ends it."""
    place = 0
    while block[place : place + 4] in SIGNATURES and len(block) >= place + 12:
        number, name = struct.unpack_from(">HB", block, place + 4)
        start = place + 6 + (name + 2) // 2 * 2
        if len(block) < start + 4:
            return
        length = struct.unpack_from(">I", block, start)[0]
        end = start + 4 + length + length % 2
        if length > len(block) - start - 4:
            return
        yield number, block[place:end]
        place = end


def true_resources(block: bytes, iptc: bytes | None = None) -> bytes | None:
    """The block without what an edit makes untrue; with this IPTC where it has none."""
    found = [(number, whole) for number, whole in resources(block) if number not in STALE_RESOURCES]
    if iptc and IPTC_RESOURCE not in {number for number, _ in found}:
        whole = struct.pack(">4sHHI", b"8BIM", IPTC_RESOURCE, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
        found.insert(0, (IPTC_RESOURCE, whole))
    return b"".join(whole for _, whole in found) or None


def iptc_of(block: bytes) -> bytes | None:
    """The IPTC records in a block of Photoshop's resources."""
    for number, whole in resources(block):
        if number == IPTC_RESOURCE:
            start = 6 + (whole[6] + 2) // 2 * 2
            return whole[start + 4 : start + 4 + struct.unpack_from(">I", whole, start)[0]]
    return None


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG."""
    place = len(PNG_START)
    for _ in range(MAX_CHUNKS):
        if len(data) < place + 12:
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def png(parts: list[Chunk]) -> bytes:
    """The bytes of a PNG of these chunks."""
    made = [
        struct.pack(">I4s", len(text), kind) + text + struct.pack(">I", zlib.crc32(kind + text)) for kind, text in parts
    ]
    return PNG_START + b"".join(made)


def without_unreadable(data: bytes) -> tuple[bytes, list[str]]:
    """A PNG without the chunks beside its picture that are damaged or break its reader, and their names."""
    kept: list[bytes] = []
    gone: list[str] = []
    place, head = len(PNG_START), b""
    for kind, text in chunks(data):
        whole = data[place : place + 12 + len(text)]
        place += len(whole)
        head = head or PNG_START + whole  # with IHDR
        is_picture = kind[:1].isupper()  # what PNG calls critical
        is_tried = len(gone) < MAX_UNREADABLE and len(kept) < MAX_TRIED
        if is_picture or (is_tried and opens(head + whole + EMPTY_IDAT, "PNG")):
            kept.append(whole)
        else:
            gone.append(f"its chunk {kind.decode('latin-1')}, which cannot be read")
    return PNG_START + b"".join(kept) + data[place:], list(dict.fromkeys(gone))


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
        if kind not in TEXT_CHUNKS or name in (PNG_XMP, *RAW_PROFILES):
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
