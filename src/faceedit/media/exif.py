"""EXIF as bytes: what a camera wrote stays as it was written, but for what an edit makes untrue.

A block of EXIF is laid out as a TIFF file without a picture: a header, and folders of tags (IFDs), of which a tag holds
its value or says where it stands. Here a block has no `Exif\\0\\0` in front. The layout is that of TIFF 6.0, section 2.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

PREFIX = b"Exif\0\0"
EMPTY = 20  # bytes of a block without a tag, and its prefix
ORIENTATION, EXIF_FOLDER, GPS_FOLDER, INTEROP_FOLDER = 274, 34665, 34853, 40965
FOLDERS = (EXIF_FOLDER, GPS_FOLDER, INTEROP_FOLDER)
THUMBNAIL_PLACE, SUB_FOLDERS = 513, 330
XMP, IPTC, PHOTOSHOP, ICC, LAYERS, CREDENTIALS = 700, 33723, 34377, 34675, 37724, 52545
# Tags that describe how the pixels of a TIFF lie in it, and would be wrong in another file.
LAYOUT_TAGS = {*range(254, 260), 262, 266, 273, *range(277, 282), 284, 317, *range(320, 326), *range(330, 348)}
BLOCK_TAGS = {XMP, IPTC, PHOTOSHOP, ICC, LAYERS, CREDENTIALS, 50255}  # what else is carried by itself, or not at all
RESOLUTION, RESOLUTION_UNIT = (282, 283), 296
BYTE, SHORT, LONG, RATIONAL, UNDEFINED = 1, 3, 4, 5, 7
# Bytes of a value of each type, and of what of it has an order.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
ORDERED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
MAX_FOLDERS, MAX_TAGS, MAX_NUMBERS = 64, 2000, 1000  # of a TIFF that are looked at, of each folder, and of a tag
MAX_LENGTH = 16 << 20  # bytes of EXIF: tags may claim the same bytes many times
NAMES = {37500: "its maker notes", 37510: "its EXIF comment", 270: "its EXIF description"}


class Tag(NamedTuple):
    """A tag of a folder. entry, start: where its entry and its value stand in the block; values: how many."""

    number: int
    kind: int
    values: int
    entry: int
    start: int
    length: int


Value = tuple[int, int, bytes | dict[int, "Value"]]  # type, count, and the bytes or the tags of an inner folder
Tags = dict[int, Value]


def orientation(exif: bytes) -> int:
    """1 to 8, as EXIF defines them; 1 also where the block does not say."""
    try:
        tags, _ = read_folder(exif, read_header(exif)[2])
        found = next((read_number(exif, tag) for tag in tags if tag.number == ORIENTATION), 1)
    except (struct.error, ValueError):
        return 1
    return found if 1 <= found <= 8 else 1


def without_orientation(exif: bytes) -> bytes | None:
    """The block without the tag, every value still in its place; None where nothing is left."""
    order, _, first = read_header(exif)
    tags, following = read_folder(exif, first)
    kept = [exif[tag.entry : tag.entry + 12] for tag in tags if tag.number != ORIENTATION]
    if len(kept) == len(tags):
        return exif
    table = struct.pack(order + "H", len(kept)) + b"".join(kept) + struct.pack(order + "I", following)
    return exif[:first] + table + exif[first + len(table) :] if kept else None


def from_tiff(data: bytes) -> bytes | None:
    """What a TIFF file's own tags say beside how its pixels lie, as a block in the file's order of bytes.

    None where that is nothing. Raises ValueError or struct.error where it cannot be read.
    """
    kept = {number: value for number, value in all_tags(data).items() if number not in LAYOUT_TAGS | BLOCK_TAGS}
    return _block(read_header(data)[0], kept) if kept else None


def all_tags(data: bytes) -> Tags:
    """The tags of a TIFF file's first folder, or of a block. Raises ValueError or struct.error."""
    return _tags(data, read_header(data)[2])


def tiff_value(data: bytes, number: int) -> bytes | None:
    """The bytes of a tag of a TIFF file's first folder, or None. Raises ValueError or struct.error."""
    tags, _ = read_folder(data, read_header(data)[2])
    return next((data[tag.start : tag.start + tag.length] for tag in tags if tag.number == number), None)


def tiff_folders(data: bytes) -> tuple[list[dict[int, int]], list[dict[int, int]]]:
    """The folders of a TIFF file, a page each, and those inside the first (SubIFDs): of each tag its first number.

    Raises ValueError or struct.error.
    """
    order, _, place = read_header(data)
    folders: list[dict[int, int]] = []
    inner: list[dict[int, int]] = []
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MAX_FOLDERS:
        seen.add(place)
        tags, following = read_folder(data, place)
        folders.append({tag.number: read_number(data, tag) for tag in tags})
        for tag in tags:
            if tag.number == SUB_FOLDERS and tag.kind in (LONG, 13) and len(folders) == 1:
                places = struct.unpack_from(f"{order}{min(tag.values, MAX_FOLDERS)}I", data, tag.start)
                inner = [
                    {tag.number: read_number(data, tag) for tag in read_folder(data, start)[0]} for start in places
                ]
        place = following
    return folders, inner


def within(exif: bytes, limit: int) -> tuple[bytes | None, list[str]]:
    """The block in at most `limit` bytes, and the names of what had to go: maker notes first, then the longest."""
    if len(exif) <= limit:
        return exif, []
    order, _, first = read_header(exif)
    tags, gone = _tags(exif, first), []
    inner = tags.get(EXIF_FOLDER, (0, 0, {}))[2]
    folders = [folder for folder in (inner, tags) if isinstance(folder, dict)]
    while len(block := _block(order, tags)) > limit:
        lengths = [
            (number == 37500, len(value[2]), number, folder)
            for folder in folders
            for number, value in folder.items()
            if isinstance(value[2], bytes)
        ]
        if not lengths:
            return None, ["its EXIF"]
        _, _, number, folder = max(lengths, key=lambda item: item[:3])
        del folder[number]
        gone.append(NAMES.get(number, f"its EXIF tag {number}"))
    return block, gone


def with_tags(tiff: bytes, exif: bytes | None, more: Mapping[int, Value | None]) -> bytes:
    """A TIFF file with a block of EXIF and further tags beside those that describe its pixels; None takes one away.

    Its folder is written anew behind its pixels. Raises ValueError or struct.error for what cannot be read or is big.
    """
    order, is_big, _ = read_header(tiff)
    if is_big:
        raise ValueError("a BigTIFF")
    others = {} if not exif else all_tags(exif) if read_header(exif)[0] == order else _swapped(all_tags(exif))
    kept = {number: value for number, value in others.items() if number not in LAYOUT_TAGS | BLOCK_TAGS}
    place = len(tiff) + len(tiff) % 2
    tags = {number: value for number, value in {**all_tags(tiff), **kept, **more}.items() if value is not None}
    folder = assembled(order, tags, place)
    return tiff[:4] + struct.pack(order + "I", place) + tiff[8:].ljust(place - 8, b"\0") + folder


def assembled(order: str, tags: Tags, place: int) -> bytes:
    """The bytes of a folder that will stand at a place, with its long values and inner folders behind it."""
    table, behind = bytearray(struct.pack(order + "H", len(tags))), bytearray()
    for number, (kind, count, value) in sorted(tags.items(), key=lambda item: item[0]):
        at = place + 6 + 12 * len(tags) + len(behind)
        field = struct.pack(order + "I", at)
        if isinstance(value, dict):
            behind += assembled(order, value, at)
        elif len(value) > 4:
            behind += value
        else:
            field = value.ljust(4, b"\0")
        behind += bytes(len(behind) % 2)
        table += struct.pack(order + "HHI", number, kind, count) + field
    return bytes(table) + bytes(4) + bytes(behind)


def read_header(data: bytes | bytearray) -> tuple[str, bool, int]:
    """The order of bytes for `struct`, whether it is a BigTIFF, and where the first folder stands."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None:
        raise ValueError("no TIFF header")
    version = struct.unpack_from(order + "H", data, 2)[0]
    if version not in (42, 43):
        raise ValueError("no TIFF header")
    big = version == 43
    return order, big, struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]


def read_folder(data: bytes | bytearray, place: int) -> tuple[list[Tag], int]:
    """The tags of the folder at a place, and where the next folder stands, 0 for none."""
    order, big, _ = read_header(data)
    step, inline, head = (20, 8, 8) if big else (12, 4, 2)
    count = struct.unpack_from(order + ("Q" if big else "H"), data, place)[0]
    if count * step > len(data) - place or count > MAX_TAGS:
        raise ValueError("a folder longer than the block, or than any")
    tags = []
    for entry in range(place + head, place + head + count * step, step):
        number, kind, values = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, entry)
        length = SIZES.get(kind, 0) * values
        start = entry + step - inline
        if length > inline:
            start = struct.unpack_from(order + ("Q" if big else "I"), data, start)[0]
        if big and kind in (16, 18):  # a LONG8, as offsets may be
            kind, length = LONG, 4 if values == 1 else 0
            start += 4 if order == ">" else 0
        tags.append(Tag(number, kind, values, entry, start, length))
    return tags, struct.unpack_from(order + ("Q" if big else "I"), data, place + head + count * step)[0]


def read_number(data: bytes | bytearray, tag: Tag) -> int:
    """The first of a tag's whole numbers; 0 where it has none."""
    return next(iter(read_numbers(data, tag, 1)), 0)


def read_numbers(data: bytes | bytearray, tag: Tag, most: int = MAX_NUMBERS) -> tuple[int, ...]:
    """A tag's whole numbers, the first of them where there are more than `most`; none where it has none."""
    letter = {1: "B", 3: "H", 4: "I", 13: "I"}.get(tag.kind)
    if letter is None or not tag.length or tag.start + tag.length > len(data):
        return ()
    return struct.unpack_from(f"{read_header(data)[0]}{min(tag.values, most)}{letter}", data, tag.start)


def _tags(data: bytes, place: int, depth: int = 0) -> Tags:
    """The tags of a folder with their bytes, inner folders with theirs; a tag whose value is not there is left out."""
    found: Tags = {}
    total = 0
    for tag in read_folder(data, place)[0]:
        if tag.number in FOLDERS:
            if depth < 2 and tag.length == 4 and tag.number not in found:  # which may be said again and again
                found[tag.number] = (LONG, 1, _tags(data, read_number(data, tag), depth + 1))
        elif tag.length and tag.start + tag.length <= len(data):
            total += tag.length
            if total > MAX_LENGTH:
                raise ValueError("tags longer than any camera's")
            found[tag.number] = (tag.kind, tag.values, bytes(data[tag.start : tag.start + tag.length]))
    return found


def _block(order: str, tags: Tags) -> bytes:
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + assembled(order, tags, 8)


def _swapped(tags: Tags) -> Tags:
    """The same values in the other order of bytes."""
    found: Tags = {}
    for number, (kind, count, value) in tags.items():
        if isinstance(value, dict):
            found[number] = (kind, count, _swapped(value))
        else:
            numbers = np.frombuffer(value, f"u{ORDERED.get(kind, 1)}")
            found[number] = (kind, count, numbers.byteswap().tobytes())
    return found
