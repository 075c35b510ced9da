"""What a photo's file says beside its pixels and EXIF: kept, unless it describes parts that an edited file lacks.

XMP is changed only where it does; Photoshop's resources hold IPTC; PNG's texts are kept as chunks.
"""

import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from faceedit.media.provenance import packet_of, parsed_packet

SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")  # how a resource begins: Photoshop's and others'
IPTC_RESOURCE = 0x0404
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
