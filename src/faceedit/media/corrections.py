"""EXIF of an edited photo: what the edit and turning the photo upright make untrue, changed in its place."""

import struct
from bisect import bisect_left

from faceedit.media.exif import (
    EXIF_FOLDER,
    FOLDERS,
    LONG,
    MAX_FOLDERS,
    ORIENTATION,
    SHORT,
    THUMBNAIL_PLACE,
    Tag,
    read_folder,
    read_header,
    read_number,
    read_numbers,
)

SIZE_TAGS = ((256, 0), (257, 1), (40962, 0), (40963, 1))  # tag, and which of width and height it holds
THUMBNAILS = ((THUMBNAIL_PLACE, 514), (273, 279))  # tags that say where one stands, and how long it is
MAX_PLACES = 10_000  # of a block that are kept from being taken for a thumbnail
SUBJECTS = (37396, 41492)  # tags of x and y, then a circle's diameter, or width and height: where a subject is


def corrected(exif: bytes, size: tuple[int, int]) -> bytes | None:
    """The block with orientation 1, these sizes in pixels, subjects where they are now and no thumbnail.

    The rest is as it was. None where there is nothing in it, or it cannot be read.
    """
    data = bytearray(exif)
    try:
        order, _, first = read_header(data)
        tags, following = read_folder(data, first)
        if not tags:
            return None
        inner = [tag for tag in tags if tag.number == EXIF_FOLDER and tag.length == 4]
        inner_tags = read_folder(data, read_number(data, inner[0]))[0] if inner else []
        if following:
            _blank_thumbnails(data, following, _places(data, first))
            struct.pack_into(order + "I", data, first + 2 + 12 * len(tags), 0)
    except (struct.error, ValueError):
        return None
    turned = 1
    for tag in tags:
        if tag.number == ORIENTATION and read_number(data, tag) != 1:
            turned = read_number(data, tag)
            struct.pack_into(order + "HHIHH", data, tag.entry, ORIENTATION, SHORT, 1, 1, 0)
    for tag in (*tags, *inner_tags):
        for number, axis in SIZE_TAGS:
            if tag.number == number and read_number(data, tag) != size[axis]:
                struct.pack_into(order + "HHII", data, tag.entry, number, LONG, 1, size[axis])
        if tag.number in SUBJECTS and tag.kind == SHORT and 2 <= tag.values <= 4:
            _turn(data, tag, order, turned, size)
    return bytes(data)


def _turn(data: bytearray, tag: Tag, order: str, turned: int, size: tuple[int, int]) -> None:
    """Put a subject where it is once a photo with an orientation is upright and of this size."""
    if len(found := read_numbers(data, tag)) != tag.values:
        return
    (x, y, *extent), (right, bottom) = found, (size[0] - 1, size[1] - 1)
    place = {
        2: (right - x, y),
        3: (right - x, bottom - y),
        4: (x, bottom - y),
        5: (y, x),
        6: (right - y, x),
        7: (right - y, bottom - x),
        8: (y, bottom - x),
    }.get(turned, (x, y))
    extent = extent[::-1] if turned > 4 else extent
    within = (min(max(value, 0), 65535) for value in (*place, *extent))
    struct.pack_into(f"{order}{tag.values}H", data, tag.start, *within)


def _places(data: bytearray, first: int) -> set[tuple[int, int]]:
    """Where the folders of a block begin and end that are of the photo itself, and the values of their tags."""
    found: set[tuple[int, int]] = set()
    waiting, visited = [first], {first}
    while waiting and len(found) < MAX_PLACES:
        place = waiting.pop()
        tags, _ = read_folder(data, place)
        found.add((place, place + 6 + 12 * len(tags)))
        found |= {(tag.start, tag.start + tag.length) for tag in tags if tag.length > 4}
        inner = {read_number(data, tag) for tag in tags if tag.number in FOLDERS and tag.length == 4}
        waiting += inner - visited
        visited |= inner
    return found


def _blank_thumbnails(data: bytearray, place: int, kept: set[tuple[int, int]]) -> None:
    """Put zeros for what the folders from a place on refer to as thumbnails, or cut it off where it stands last.

    kept: where what stays begins and ends, whatever length a thumbnail is said to have.
    """
    found: list[tuple[int, int]] = []
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MAX_FOLDERS:
        seen.add(place)
        tags, place = read_folder(data, place)
        numbers = {tag.number: read_numbers(data, tag) for tag in tags}
        for first, last in THUMBNAILS:
            found += zip(numbers.get(first, ()), numbers.get(last, ()), strict=False)
    starts = sorted({*seen, *(start for start, _ in kept)})
    for start, length in sorted(found, reverse=True):
        following = bisect_left(starts, start)
        end = min([start + length, *starts[following : following + 1]])
        if start >= 8 and not any(other < start < other_end for other, other_end in kept):
            data[start:end] = bytes(end - start) if end < len(data) else b""
