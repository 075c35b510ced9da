"""What an edited file says of itself, in XMP: that a trained model drew in it, which one, and what was asked of it.

The kind of source is IPTC's `Iptc4xmpExt:DigitalSourceType`, which platforms and newsrooms read.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from faceedit import __version__

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
SOURCE_TYPE = f"{{{NAMESPACES['Iptc4xmpExt']}}}DigitalSourceType"
TOOL = f"{{{NAMESPACES['xmp']}}}CreatorTool"
OWN = {name: f"{{{NAMESPACES['faceedit']}}}{name}" for name in ("weights", "sha256", "edits")}
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
    for prefix, uri in NAMESPACES.items():
        ET.register_namespace(prefix, uri)
    root = _parsed(source)
    if root is None:
        root = ET.Element(f"{{{NAMESPACES['x']}}}xmpmeta")
        ET.SubElement(root, f"{{{RDF}}}RDF")
    rdf = root.find(f"{{{RDF}}}RDF")
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
            for child in description.findall(name):
                description.remove(child)
    description = ET.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    for name, value in fields.items():
        ET.SubElement(description, name).text = value
    return (HEADER + ET.tostring(root, encoding="unicode") + FOOTER).encode()


def from_xmp(packet: bytes | None) -> Provenance | None:
    """The provenance in an XMP packet, or None where there is none of this tool's."""
    root = _parsed(packet)
    if root is None:
        return None
    found = {}
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


def _parsed(packet: bytes | None) -> ET.Element | None:
    """The x:xmpmeta element of a packet, or None where it cannot be read or has no rdf:RDF."""
    if not packet or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:  # entities are a way to attack
        return None
    try:
        root = ET.fromstring(packet.strip(b"\0 \t\r\n").decode("utf-8", "strict"))
    except (ET.ParseError, UnicodeDecodeError, ValueError):
        return None
    return root if root.find(f"{{{RDF}}}RDF") is not None else None
