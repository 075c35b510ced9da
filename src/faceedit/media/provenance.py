"""What an edited file says of itself, in XMP: that a trained model drew in it, which one, and what was asked of it.

The kind of source is IPTC's `Iptc4xmpExt:DigitalSourceType`, which platforms and newsrooms read.
"""

import io
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit import __version__

if TYPE_CHECKING:  # reading a file's own words back takes no networks
    from faceedit.media.image import Photo
    from faceedit.weights import Weights

MAX_BOXES = 10_000  # of an MP4 are looked at: a fragmented film of an hour has two for each of its 2000 fragments
MAX_XMP = 65_000  # bytes: what fits into one segment of a JPEG
MAX_DEPTH = 100  # elements of a packet in one another: some ten are what programs write

# IPTC's vocabulary: a photo with parts from a trained model, and a picture drawn by one.
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
DRAWN = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": RDF,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "faceedit": "urn:faceedit:1:",
}
# What other programs write: some look for their own prefixes.
OTHER_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
}
for _prefix, _uri in (NAMESPACES | OTHER_NAMESPACES).items():
    ET.register_namespace(_prefix, _uri)  # for all threads, so once
SOURCE_TYPE = f"{{{NAMESPACES['Iptc4xmpExt']}}}DigitalSourceType"
TOOL = f"{{{NAMESPACES['xmp']}}}CreatorTool"
OWN = {name: f"{{{NAMESPACES['faceedit']}}}{name}" for name in ("weights", "sha256", "edits")}
# XMP specification, part 3: an application extension of a GIF, whose trailer lets readers that do not know it pass over
# the packet as if it were blocks, and a box of an MP4.
GIF_XMP, GIF_TRAILER = b"!\xff\x0bXMP DataXMP", b"\x01" + bytes(range(255, -1, -1)) + b"\0"
MP4_XMP = b"uuid" + bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
BLANK = b"\0 \t\r\n"
HEADER, FOOTER = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n', '\n<?xpacket end="w"?>'


@dataclass(frozen=True)
class Provenance:
    """What was done to a picture.

    source_type: COMPOSITE or DRAWN. tool: name and version. weights, sha256: the weights' name and hash. edits: one
    line for each face, or what a grid shows.
    """

    source_type: str
    weights: str
    sha256: str
    edits: str
    tool: str = f"faceedit {__version__}"


def to_xmp(provenance: Provenance, source: bytes | None = None) -> bytes:
    """An XMP packet with the provenance beside what the source photo's own packet held, as far as that can be read."""
    root = parsed_packet(source)
    if root is None:
        root = ET.Element(f"{{{NAMESPACES['x']}}}xmpmeta")
    rdf = root.find(f"{{{RDF}}}RDF")
    if rdf is None:
        rdf = ET.SubElement(root, f"{{{RDF}}}RDF")
    fields = {
        SOURCE_TYPE: provenance.source_type,
        TOOL: provenance.tool,
        OWN["weights"]: provenance.weights,
        OWN["sha256"]: provenance.sha256,
        OWN["edits"]: provenance.edits,
    }
    for description in rdf.findall(f"{{{RDF}}}Description"):  # what the source said of the same things holds no more
        for name in fields:
            description.attrib.pop(name, None)
        description[:] = [child for child in description if child.tag not in fields]  # one by one would be quadratic
    description = ET.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    for name, value in fields.items():
        ET.SubElement(description, name).text = value
    return packet_of(root)


def declaration(source_type: str, weights: "Weights", edits: str, source: bytes | None = None) -> bytes:
    """A packet that says what was done with these weights, beside what the source's own packet holds."""
    return to_xmp(Provenance(source_type, weights.path.stem, weights.sha256, edits), source)


def declared(
    photo: "Photo", source_type: str, weights: "Weights", edits: str, warn: Callable[[str], None] = lambda line: None
) -> "Photo":
    """The photo with an XMP packet that says what was done in it.

    warn: is called with a sentence where the photo's own packet had to be left out.
    """
    if photo.xmp and parsed_packet(photo.xmp) is None and photo.xmp.strip(BLANK):
        warn("the photo's own XMP cannot be read: it is left out")
    packet = declaration(source_type, weights, edits, photo.xmp)
    if len(packet) > MAX_XMP:
        warn("the photo's own XMP does not fit beside the mark that it was edited: it is left out")
        packet = declaration(source_type, weights, edits)
    return replace(photo, xmp=packet)


def from_xmp(packet: bytes | None) -> Provenance | None:
    """The provenance in an XMP packet, or None where there is none of this tool's."""
    root = parsed_packet(packet)
    if root is None:
        return None
    found: dict[str, str] = {}
    for description in root.iter(f"{{{RDF}}}Description"):
        found |= description.attrib | {child.tag: child.text or "" for child in description}
    if OWN["sha256"] not in found or SOURCE_TYPE not in found:
        return None
    return Provenance(
        source_type=found[SOURCE_TYPE],
        weights=found.get(OWN["weights"], ""),
        sha256=found[OWN["sha256"]],
        edits=found.get(OWN["edits"], ""),
        tool=found.get(TOOL, ""),
    )


def embedded(data: bytes, packet: bytes) -> bytes:
    """A GIF or MP4 file's bytes with an XMP packet in it."""
    if not data.startswith(b"GIF8"):
        return data + struct.pack(">I", 4 + len(MP4_XMP) + len(packet)) + MP4_XMP + packet
    start = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)  # behind the header and its table of colours
    return b"GIF89a" + data[6:start] + GIF_XMP + packet + GIF_TRAILER + data[start:]


def read_embedded(source: Path | bytes) -> bytes | None:
    """The XMP packet of a GIF or MP4 file or its bytes, or None where there is none. Raises OSError."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        head = file.read(12)
        if head.startswith(b"GIF8"):
            _, found, rest = (head + file.read(1 << 20)).partition(GIF_XMP)
            packet, ended, _ = rest.partition(GIF_TRAILER)
            return packet if found and ended else None
        size = file.seek(0, io.SEEK_END)
        place = 0
        boxes = 0
        while head[4:8] == b"ftyp" and place + 8 <= size and boxes < MAX_BOXES:
            boxes += 1
            file.seek(place)
            header = file.read(24)
            length = struct.unpack(">I", header[:4])[0]
            if header[4:] == MP4_XMP:
                return file.read(min(length - 24, 1 << 20)) if length > 24 else None
            if length == 1:  # the length follows, in 64 bits
                length = struct.unpack(">Q", header[8:16].ljust(8, b"\0"))[0]
            if length < 8:
                return None
            place += length
    return None


def packet_of(root: ET.Element) -> bytes:
    """The packet with this x:xmpmeta element."""
    return (HEADER + ET.tostring(root, encoding="unicode") + FOOTER).encode()


def parsed_packet(packet: bytes | None) -> ET.Element | None:
    """The x:xmpmeta element of a packet, around its rdf:RDF alone too; None where it cannot be read or has none."""
    if not packet or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:  # entities are a way to attack
        return None
    try:
        root = ET.fromstring(packet.strip(BLANK).decode("utf-8", "strict"))
    except (ET.ParseError, UnicodeDecodeError, ValueError):
        return None
    level, depth = [root], 0
    while level:  # nested deeper than any program does, it could be read and not be written
        level, depth = [child for element in level for child in element], depth + 1
        if depth > MAX_DEPTH:
            return None
    if root.tag == f"{{{RDF}}}RDF":
        outer = ET.Element(f"{{{NAMESPACES['x']}}}xmpmeta")
        outer.append(root)
        return outer
    return root if root.find(f"{{{RDF}}}RDF") is not None else None
