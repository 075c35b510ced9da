import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from faceedit.media.image import Photo
from faceedit.media.provenance import COMPOSITE, DRAWN, Provenance, declared, embedded, from_xmp, read_embedded, to_xmp
from faceedit.weights import load_weights

EDIT = Provenance(COMPOSITE, "caae-96", "ab" * 32, "face at (1, 2)-(3, 4): valence +0.10 & <more>")
CAMERA = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmp:CreatorTool="Camera 1" dc:rights="Ann"/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def test_what_is_written_is_read_back():
    assert from_xmp(to_xmp(EDIT)) == EDIT


def test_the_sources_own_packet_is_kept_but_not_what_holds_no_more():
    packet = to_xmp(EDIT, CAMERA)
    assert b"Ann" in packet
    assert b"Camera 1" not in packet
    assert from_xmp(packet) == EDIT
    again = Provenance(DRAWN, "other", "cd" * 32, "a grid")
    assert from_xmp(to_xmp(again, packet)) == again
    assert b"caae-96" not in to_xmp(again, packet)
    assert b"Ann" in to_xmp(again, packet)


def test_the_kind_of_source_is_where_others_look_for_it():
    root = ET.fromstring(to_xmp(EDIT).decode())
    name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    assert [element.text for element in root.iter(name)] == [COMPOSITE]


def test_a_packet_nested_to_break_its_readers_is_left_out(tiny_weights):
    deep = CAMERA.replace(b'"Ann"/>', b'"Ann">' + b"<a>" * 9000 + b"</a>" * 9000 + b"</rdf:Description>")
    told = []
    photo = declared(
        Photo(np.zeros((1, 1, 3), np.uint8), xmp=deep), DRAWN, load_weights(str(tiny_weights)), "", told.append
    )
    assert len(told) == 1
    assert from_xmp(photo.xmp).source_type == DRAWN


def test_a_packet_nested_as_programs_nest_is_kept():
    nested = CAMERA.replace(b'"Ann"/>', b'"Ann">' + b"<a>" * 90 + b"</a>" * 90 + b"</rdf:Description>")
    assert to_xmp(EDIT, nested).count(b"<a") == 90


@pytest.mark.parametrize(("packet", "count"), [(CAMERA, 0), (b" " * 99, 0), (CAMERA[:200], 1), (b"<x/>", 1)])
def test_a_packet_that_cannot_be_kept_is_named(tiny_weights, packet, count):
    told = []
    declared(Photo(np.zeros((1, 1, 3), np.uint8), xmp=packet), DRAWN, load_weights(str(tiny_weights)), "", told.append)
    assert len(told) == count


def test_a_packet_without_its_outer_element_is_kept():
    start, end = CAMERA.index(b"<rdf:RDF"), CAMERA.index(b"</x:xmpmeta>")
    packet = to_xmp(EDIT, CAMERA[start:end])
    assert b"Ann" in packet
    assert from_xmp(packet) == EDIT


@pytest.mark.parametrize(
    "packet",
    [None, b"", b"junk", b"<x/>", CAMERA, b"\xff\xfe\x00", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", CAMERA[:200]],
)
def test_packets_without_provenance_have_none_and_do_not_hinder(packet):
    assert from_xmp(packet) is None
    assert from_xmp(to_xmp(EDIT, packet)) == EDIT


def test_a_gif_carries_a_packet_and_stays_a_gif(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    data = embedded((tmp_path / "a.gif").read_bytes(), to_xmp(EDIT))
    (tmp_path / "b.gif").write_bytes(data)
    assert from_xmp(read_embedded(tmp_path / "b.gif")) == EDIT
    assert read_embedded(tmp_path / "a.gif") is None
    with Image.open(tmp_path / "b.gif") as image:
        assert image.n_frames == 3
        image.seek(2)
        image.load()


def test_damaged_files_carry_nothing(tmp_path):
    box = b"\0\0\0\x18ftypisom" + bytes(12)
    for data in (b"", b"GIF8", b"\0\0\0\0ftypisom" + bytes(30), box + b"\0\0\0\1free", box + b"\0\0\0\x18uuid"):
        (tmp_path / "x").write_bytes(data)
        assert read_embedded(tmp_path / "x") is None


def test_packets_that_are_written_at_once_do_not_disturb_each_other():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(lambda _: to_xmp(EDIT, CAMERA), range(400)))) == 1
    finally:
        sys.setswitchinterval(interval)
