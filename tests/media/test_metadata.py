"""What a file says beside its pixels is kept as it was, but for what an edit makes untrue, which is named."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin, PngImagePlugin

from faceedit.media import colour, exif, jpeg, metadata, png
from faceedit.media.corrections import corrected
from faceedit.media.image import READ_FORMATS, encode_photo, read_photo
from tests.conftest import draw_face

WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
THUMBNAIL = b"\xff\xd8" + b"thumbnail" * 20 + b"\xff\xd9"
PREVIEW = b"\xff\xd8" + b"preview" * 40 + b"\xff\xd9"
IPTC = b"\x1c\x02\x78\x00\x06\xc3\xbcnder"
MAKER = b"Maker\0\1\2" + bytes(range(200))


def block(order="<", orientation=6, thumbnail=True, maker=MAKER) -> bytes:
    """EXIF as cameras write it and no library does: UTF-8 as ASCII, odd types, an order of its own, a thumbnail."""
    inner: exif.Tags = {
        36867: (2, 20, b"2020:01:02 03:04:05\0"),
        37121: (7, 4, b"\1\2\3\0"),
        37500: (7, len(maker), maker),
        37510: (7, 16, b"UNICODE\0" + "Hej!".encode("utf-16-le")),
        40962: (3, 1, struct.pack(order + "H", 4000)),
        40963: (4, 1, struct.pack(order + "I", 3000)),
        41729: (7, 1, b"\1"),
        59932: (7, 12, bytes(12)),
    }
    tags: exif.Tags = {
        271: (2, 6, b"Maker\0"),
        274: (3, 1, struct.pack(order + "H", orientation)),
        315: (2, 9, "Åsa Ö\0".encode().ljust(9, b"\0")),
        700: (1, 4, b"<x/>"),
        exif.EXIF_FOLDER: (4, 1, inner),
        exif.GPS_FOLDER: (4, 1, {0: (1, 4, b"\2\3\0\0"), 2: (5, 3, struct.pack(order + "6I", 52, 1, 31, 1, 0, 1))}),
        65000: (2, 5, b"mine\0"),
    }
    if order == ">":  # nothing says that numbers come in order
        tags = dict(reversed(tags.items()))
    made = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + exif.assembled(order, tags, 8)
    if not thumbnail:
        return made
    place = len(made)
    small: exif.Tags = {
        513: (4, 1, struct.pack(order + "I", place + 30)),
        514: (4, 1, struct.pack(order + "I", len(THUMBNAIL))),
    }
    folder = exif.assembled(order, small, place)
    link = 8 + 2 + 12 * len(tags)
    made = made[:link] + struct.pack(order + "I", place) + made[link + 4 :]
    return made + folder.ljust(30, b"\0") + THUMBNAIL + b"end"


def saved(name="JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw_face(48)[:32]).save(buffer, name, **options)
    return buffer.getvalue()


def block_of(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as file:
        file.load()
        return file.info["exif"].removeprefix(b"Exif\0\0")


def with_second_thumbnail(block: bytes) -> bytes:
    """The block with a folder behind that of its thumbnail, as some cameras write one for a larger preview."""
    order, _, first = exif.read_header(block)
    place = exif.read_folder(block, first)[1]
    made = bytearray(block.ljust(len(block) + len(block) % 2, b"\0"))
    struct.pack_into(order + "I", made, place + 2 + 12 * len(exif.read_folder(block, place)[0]), len(made))
    more: exif.Tags = {
        513: (4, 1, struct.pack(order + "I", len(made) + 30)),
        514: (4, 1, struct.pack(order + "I", len(PREVIEW))),
    }
    return bytes(made) + exif.assembled(order, more, len(made)).ljust(30, b"\0") + PREVIEW + b"end"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_no_thumbnail_of_any_folder_shows_the_photo_before_the_edit(name, order):
    given = with_second_thumbnail(block(order))
    photo = read_photo(saved(name, exif=b"Exif\0\0" + given))
    written = block_of(encode_photo(photo, name))
    assert len(written) == len(given)
    assert THUMBNAIL not in written
    assert PREVIEW not in written
    assert values(written) == values(given)


def values(made: bytes) -> dict:
    """All that a block says, but what an edit changes, as bytes in the lower order."""
    order, _, first = exif.read_header(made)
    tags = exif._tags(made, first)
    tags = exif._swapped(tags) if order == ">" else tags
    for number in (274, 700):
        tags.pop(number, None)
    for number in (40962, 40963):
        tags[exif.EXIF_FOLDER][2].pop(number, None)
    return tags


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_exif_is_kept_byte_for_byte_but_for_what_an_edit_makes_untrue(name, order):
    given = block(order)
    photo = read_photo(saved(name, exif=b"Exif\0\0" + given))
    assert photo.pixels.shape == (48, 32, 3)  # turned
    written = block_of(encode_photo(photo, name))
    assert len(written) == len(given)
    changed = [place for place in range(len(given)) if given[place] != written[place]]
    thumbnail = range(given.find(THUMBNAIL), given.find(THUMBNAIL) + len(THUMBNAIL))
    others = [place for place in changed if place not in thumbnail]
    assert len(others) < 20  # of a number each: orientation, width, height, and where the thumbnail's folder is
    assert values(written) == values(given)
    assert THUMBNAIL not in written
    tags = Image.Exif()
    tags.load(written)
    assert (tags[274], tags.get_ifd(34665)[40962], tags.get_ifd(34665)[40963]) == (1, 32, 48)
    assert tags.get_ifd(1) == {}


def test_exif_that_is_true_already_is_not_touched():
    given = block(orientation=1, thumbnail=False).replace(
        struct.pack("<HHIHH", 40962, 3, 1, 4000, 0), struct.pack("<HHIHH", 40962, 3, 1, 48, 0)
    )
    given = given.replace(struct.pack("<HHII", 40963, 4, 1, 3000), struct.pack("<HHII", 40963, 4, 1, 32))
    for name in ("JPEG", "PNG", "WEBP"):
        assert block_of(encode_photo(read_photo(saved(name, exif=b"Exif\0\0" + given)), name)) == given


@pytest.mark.parametrize("source", WITH_EXIF)
@pytest.mark.parametrize("name", WITH_EXIF)
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_says_the_same_in_every_format(source, name, order):
    given = encode_photo(read_photo(saved("JPEG", exif=b"Exif\0\0" + block(order))), source)
    photo = read_photo(given)
    again = read_photo(encode_photo(photo, name))
    found = values(again.exif)
    for number in exif.LAYOUT_TAGS | {282, 283, 296}:
        found.pop(number, None)
    assert found == values(block(order))
    assert exif.orientation(again.exif) == 1


@pytest.mark.parametrize("length", [70_000, 60_000])
def test_what_of_exif_does_not_fit_is_left_out_and_named(length, caplog):
    maker = b"M" * length
    photo = read_photo(saved("WEBP", exif=b"Exif\0\0" + block(maker=maker)))
    written = values(read_photo(encode_photo(photo, "JPEG")).exif)
    wanted = values(block(maker=maker))
    if length > 65_000:
        assert wanted[exif.EXIF_FOLDER][2].pop(37500)
        assert "its maker notes" in caplog.text
    else:
        assert caplog.messages == []
    assert written == wanted


def photoshop(*parts) -> bytes:
    return b"".join(
        struct.pack(">4sHHI", b"8BIM", number, 0, len(text)) + text + bytes(len(text) % 2) for number, text in parts
    )


@pytest.mark.parametrize("source", ["JPEG", "TIFF"])
def test_iptc_and_comments_are_kept_and_thumbnails_are_not(source, caplog):
    given = photoshop((0x0404, IPTC), (0x040C, b"thumbnail"), (0x03ED, bytes(16)))
    extra = jpeg.extra_segments(given, (b"first", "zweite ü".encode()))
    photo = read_photo(encode_photo(read_photo(saved(extra=extra)), source))
    for name in ("JPEG", "TIFF"):
        again = read_photo(encode_photo(photo, name))
        assert again.photoshop == photoshop((0x0404, IPTC), (0x03ED, bytes(16)))
        with Image.open(io.BytesIO(encode_photo(photo, name))) as file:
            assert IptcImagePlugin.getiptcinfo(file) == {(2, 120): "ünder".encode()}
    caplog.clear()
    written = encode_photo(photo, "PNG")
    assert "its IPTC" in caplog.text
    if source == "JPEG":
        assert read_photo(encode_photo(photo, "JPEG")).comments == (b"first", "zweite ü".encode())
        assert [png.comment(chunk) for chunk in png.texts(written)] == [b"first", "zweite ü".encode()]
    assert b"thumbnail" not in encode_photo(photo, source)


def test_iptc_of_a_tiff_that_stands_by_itself_is_kept():
    data = exif.with_tags(encode_photo(read_photo(saved()), "TIFF"), None, {exif.IPTC: (7, len(IPTC), IPTC)})
    assert metadata.iptc_of(read_photo(encode_photo(read_photo(data), "JPEG")).photoshop) == IPTC


def test_texts_of_a_png_are_kept_byte_for_byte(caplog):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "Mädchen")
    texts.add_text("Description", "x" * 500, zip=True)
    texts.add_itxt("Comment", "眉", lang="zh")
    texts.add_text("parameters", "a prompt")
    given = saved("PNG", pnginfo=texts)
    photo = read_photo(given)
    assert png.texts(encode_photo(photo, "PNG")) == png.texts(given)
    assert len(png.texts(given)) == 4
    assert caplog.messages == []
    assert read_photo(encode_photo(photo, "JPEG")).comments == ("眉".encode(),)
    assert "its texts (Title, Description, parameters)" in caplog.text


@pytest.mark.parametrize("name", [*READ_FORMATS])
def test_without_metadata_nothing_of_it_is_written(name):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "secret")
    for given in (
        saved("PNG", pnginfo=texts, exif=b"Exif\0\0" + block()),
        saved(exif=b"Exif\0\0" + block(), comment=b"secret", extra=jpeg.extra_segments(photoshop((0x0404, IPTC)), ())),
    ):
        written = encode_photo(read_photo(given).without_metadata(), name)
        assert not any(word in written for word in (b"secret", b"Maker", b"\xc3\xbcnder"))


def packet(attributes="", inner="") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:G="http://ns.google.com/photos/1.0/camera/" '
        'xmlns:C="http://ns.google.com/photos/1.0/container/" '
        'xmlns:I="http://ns.google.com/photos/1.0/container/item/" '
        'xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:n="http://ns.adobe.com/xmp/note/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/xap/1.0/g/img/">'
        f'<rdf:Description rdf:about="" {attributes}><dc:title>kept</dc:title>{inner}</rdf:Description></rdf:RDF>'
        "</x:xmpmeta>"
    ).encode()


DIRECTORY = (
    '<C:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><C:Item I:Semantic="MotionPhoto" I:Mime="video/mp4"/>'
    "</rdf:li></rdf:Seq></C:Directory>"
)


def test_a_packet_nested_to_break_its_readers_costs_no_photo():
    deep = packet('G:MotionPhoto="1"', "<a>" * 9000 + "</a>" * 9000)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", deep.decode(), zip=True)
    photo = read_photo(saved("PNG", pnginfo=text))
    assert photo.xmp is None
    assert photo.lost == ("its XMP, which cannot be read",)


@pytest.mark.parametrize(
    ("attributes", "inner", "told"),
    [
        ('G:MotionPhoto="1" G:MotionPhotoVersion="1"', DIRECTORY, "its video"),
        ('G:MicroVideo="1" G:MicroVideoOffset="99"', "", "its video"),
        ("", "<G:MotionPhoto>1</G:MotionPhoto>", "its video"),
        ('h:Version="1.0"', DIRECTORY, "its HDR gain map"),
        ("", "<h:GainMapMax><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></h:GainMapMax>", "its HDR gain map"),
        ('n:HasExtendedXMP="ABC"', "", "its extended XMP"),
        ("", "<xmp:Thumbnails><rdf:Alt><rdf:li><g:image>AAA</g:image></rdf:li></rdf:Alt></xmp:Thumbnails>", None),
    ],
)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_xmp_says_nothing_of_parts_that_are_gone(attributes, inner, told, name, caplog):
    photo = read_photo(with_xmp(packet(attributes, inner), name))
    for mark in (b"Motion", b"Micro", b"Directory", b"GainMap", b"Version", b"HasExtendedXMP", b"Thumbnails"):
        assert mark not in photo.xmp
    assert b"kept" in photo.xmp
    again = read_photo(encode_photo(photo, name))
    assert (again.xmp, again.lost) == (photo.xmp, ())
    assert [told in text for text in caplog.messages] == [True] * (told is not None)


def with_xmp(xmp: bytes, name: str) -> bytes:
    if name == "TIFF":
        return exif.with_tags(saved("TIFF"), None, {exif.XMP: (exif.BYTE, len(xmp), xmp)})
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return saved(name, **{"pnginfo": texts} if name == "PNG" else {"xmp": xmp})


def test_xmp_that_tells_of_nothing_that_is_gone_is_not_touched():
    given = packet('G:PortraitVersion="1"') + b" " * 50
    assert read_photo(saved(xmp=packet())).xmp == packet()
    assert b"PortraitVersion" in read_photo(saved(xmp=given)).xmp


def test_what_stands_behind_a_jpegs_picture_is_named(caplog):
    whole = saved()
    behind = {
        "its video": b"\0\0\0\x18ftypmp42" + bytes(300),
        "the pictures behind its first": saved(),
        "the data behind its picture": b"SEFT" * 30,
    }
    for told, more in behind.items():
        photo = read_photo(whole + more)
        assert photo.lost == (told,)
        assert len(encode_photo(photo, "JPEG")) < len(whole) + 200
    assert read_photo(whole + bytes(4)).lost == ()
    extended = jpeg.segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40))
    assert read_photo(whole[:2] + extended + whole[2:]).lost == ("its extended XMP",)


@pytest.mark.parametrize(
    ("marker", "text", "named"),
    [
        (0xE3, b"Meta\0\0II", "its segment APP3"),
        (0xE5, b"RMETA\0", "its segment APP5"),
        (0xEC, b"Ducky\0\1\0\4\0\0\0\x50", "its segment APP12"),
        (0xE1, b"something else", "its segment APP1"),
    ],
)
def test_a_jpegs_segment_that_is_not_known_is_named(marker, text, named):
    whole = saved(exif=b"Exif\0\0" + block(), icc_profile=PROFILE, extra=jpeg.segment(marker, text))
    assert read_photo(whole).lost == (named,)


@pytest.mark.parametrize(
    ("name", "named"), [("WEBP", "its chunk VENT"), ("HEIF", "its box sefd"), ("AVIF", "its box sefd")]
)
def test_a_piece_of_a_file_that_is_not_known_is_named(name, named):
    data = encode_photo(replace(read_photo(saved()), icc=PROFILE, exif=block()), name)
    assert read_photo(data).lost == ()
    more = b"VENT" + struct.pack("<I", 4) + b"more" if name == "WEBP" else box(b"sefd", b"more")
    assert read_photo(data + more).lost == (named,)


def test_a_pngs_chunk_that_is_not_known_is_named():
    head, *rest = png.chunks(saved("PNG", icc_profile=PROFILE, dpi=(300, 300)))
    assert read_photo(png.assembled([head, (b"tIME", bytes(7)), *rest])).lost == ()
    assert read_photo(png.assembled([head, (b"mkBS", b"layers"), *rest])).lost == ("its chunk mkBS",)


def test_layers_of_photoshop_are_left_out_and_named(caplog):
    layers = b"Adobe Photoshop Document Data Block\0" + bytes(500)
    data = exif.with_tags(encode_photo(read_photo(saved()), "TIFF"), None, {exif.LAYERS: (7, len(layers), layers)})
    for name in ("TIFF", "PNG"):
        assert layers not in encode_photo(read_photo(data), name)
    assert all("its Photoshop layers" in text for text in caplog.messages)
    assert len(caplog.messages) == 2


def test_a_resolution_is_kept_and_none_is_made_up():
    for name in ("JPEG", "PNG", "TIFF"):
        given = saved("PNG", dpi=(300, 300))
        assert np.allclose(read_photo(encode_photo(read_photo(given), name)).dpi, 300, atol=0.1)
    assert read_photo(encode_photo(read_photo(saved("PNG")), "TIFF")).dpi is None


def box(kind: bytes, text: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(text), kind) + text


CLAIM = b"jumb: what held for the file before"


def with_credentials(name: str) -> bytes:
    """A photo with Content Credentials where C2PA puts them in this format."""
    data = encode_photo(read_photo(saved()), name)
    if name == "TIFF":
        return exif.with_tags(data, None, {exif.CREDENTIALS: (exif.UNDEFINED, len(CLAIM), CLAIM)})
    if name == "WEBP":
        return data + b"C2PA" + struct.pack("<I", len(CLAIM)) + CLAIM
    if name == "PNG":
        head, *rest = png.chunks(data)
        return png.assembled([head, (b"caBX", CLAIM), *rest])
    if name == "JPEG":
        return data[:2] + jpeg.segment(0xEB, b"JP\0\0" + CLAIM) + data[2:]
    return data + box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + CLAIM)


@pytest.mark.parametrize("name", WITH_EXIF)
def test_content_credentials_go_with_the_file_that_they_held_for_and_are_named(name, caplog):
    photo = read_photo(with_credentials(name))
    for other in {name, "JPEG", "TIFF"}:
        caplog.clear()
        assert CLAIM not in encode_photo(photo, other)
        assert jpeg.CREDENTIALS in caplog.text


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_the_video_of_a_motion_photo_is_named_also_where_its_box_alone_says_so(name):
    assert read_photo(saved(name) + box(b"mpvd", box(b"ftyp", b"mp42"))).lost == ("its video",)


def raw_profile(kind: str, text: bytes) -> bytes:
    """A PNG with what ImageMagick writes as a text."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(text):8}\n{text.hex()}\n", zip=kind != "icm")
    return saved("PNG", pnginfo=texts)


PROFILE = colour.built_profile(colour.PRIMARIES[12], (2.2,))


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_exif_that_imagemagick_put_into_a_text_is_kept_and_turns_the_photo(kind, name):
    photo = read_photo(raw_profile(kind, b"Exif\0\0" + block()))
    assert photo.pixels.shape == (48, 32, 3)
    assert values(read_photo(encode_photo(photo, name)).exif) == values(block())


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_xmp_and_profiles_that_imagemagick_put_into_a_text_are_kept(name):
    for kind, start in (("xmp", b""), ("APP1", b"http://ns.adobe.com/xap/1.0/\0")):
        assert read_photo(encode_photo(read_photo(raw_profile(kind, start + packet())), name)).xmp == packet()
    for kind in ("icc", "icm"):
        photo = read_photo(raw_profile(kind, PROFILE))
        assert (photo.icc, photo.texts) == (PROFILE, ())
        assert read_photo(encode_photo(photo, name)).icc == PROFILE


def with_damaged_profile(name: str) -> bytes:
    """A photo that has a colour profile, of which a part or all is missing."""
    if name == "JPEG":
        return saved()[:2] + jpeg.segment(0xE2, b"ICC_PROFILE\0\1\2" + PROFILE[:200]) + saved()[2:]
    if name == "TIFF":
        return exif.with_tags(saved("TIFF"), None, {exif.ICC: (exif.LONG, 2, bytes(8))})
    if name == "text":
        return raw_profile("icc", b"")
    head, *rest = png.chunks(saved("PNG"))
    return png.assembled([head, (b"iCCP", b"name\0\0junk"), *rest])


@pytest.mark.parametrize("name", ["JPEG", "TIFF", "text", "PNG"])
def test_a_profile_that_cannot_be_read_is_named(name):
    assert read_photo(with_damaged_profile(name)).lost == ("its colour profile, which cannot be read",)


SAID_TWICE = (
    ('t:Orientation="6"', ""),
    ("t:Orientation='6'", ""),
    ("", "<t:Orientation>6</t:Orientation>"),
    ("", '<t:Orientation rdf:datatype="x" >6</t:Orientation >'),
)


@pytest.mark.parametrize(("attributes", "inner"), SAID_TWICE)
@pytest.mark.parametrize("prefix", ["tiff", "t"])
def test_xmp_says_no_orientation_that_was_applied_however_it_is_written(attributes, inner, prefix):
    spaces = b'xmlns:%s="http://ns.adobe.com/tiff/1.0/" xmlns:h=' % prefix.encode()
    given = packet(*(part.replace("t:Orientation", f"{prefix}:Orientation") for part in (attributes, inner)))
    photo = read_photo(saved(exif=b"Exif\0\0" + block(), xmp=given.replace(b"xmlns:h=", spaces)))
    assert photo.pixels.shape == (48, 32, 3)
    assert b"Orientation" not in photo.xmp
    assert b"kept" in photo.xmp


def test_xmp_says_the_size_of_the_photo_that_was_turned():
    spaces = b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:h='
    given = packet('tiff:ImageWidth="48" exif:PixelXDimension="48"', "<tiff:ImageLength>32</tiff:ImageLength>")
    photo = read_photo(saved(exif=b"Exif\0\0" + block(), xmp=given.replace(b"xmlns:h=", spaces)))
    for said in (b'tiff:ImageWidth="32"', b'exif:PixelXDimension="32"', b"<tiff:ImageLength>48<"):
        assert said in photo.xmp
    upright = read_photo(saved(xmp=given.replace(b"xmlns:h=", spaces)))
    assert upright.xmp == given.replace(b"xmlns:h=", spaces)


REGIONS = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="Jane"><mwg-rs:Regions rdf:parseType="Resource"/>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_places_in_a_photo_are_turned_with_it_or_go(turned):
    tags = Image.Exif()
    tags[274] = turned
    tags.get_ifd(34665)[37396] = (10, 8, 6, 4)
    image = np.zeros((32, 48, 3), np.uint8)
    image[6:10, 7:13] = 255
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", exif=tags, xmp=REGIONS, quality=100, dpi=(200, 100))
    photo = read_photo(buffer.getvalue())
    again = Image.Exif()
    again.load(photo.exif)
    x, y, width, height = again.get_ifd(34665)[37396]
    assert (width, height) == ((6, 4) if turned < 5 else (4, 6))
    assert photo.pixels[y, x].min() > 200
    assert photo.dpi == ((200, 100) if turned < 5 else (100, 200))
    assert (b"mwg-rs" in photo.xmp, b"Jane" in photo.xmp) == (turned == 1, True)
    assert (metadata.REGIONS in photo.lost) == (turned != 1)


def test_a_thumbnail_is_taken_for_no_longer_than_it_can_be_and_for_all_its_strips():
    def entry(number, kind, count, value):
        return struct.pack("<HHII", number, kind, count, value)

    body = struct.pack("<H", 2) + entry(271, 2, 20, 98) + entry(305, 2, 20, 118) + struct.pack("<I", 38)
    body += struct.pack("<H", 2) + entry(513, 4, 1, 68) + entry(514, 4, 1, 60000) + bytes(4)
    block = b"II*\0" + struct.pack("<I", 8) + body + b"\xff\xd8" + b"T" * 26 + b"\xff\xd9"
    block += b"MAKER MAKER MAKER M\0SOFT1 SOFT2 SOFT3 S\0"
    found = corrected(block, (48, 32))
    assert b"MAKER MAKER MAKER M\0SOFT1 SOFT2 SOFT3 S\0" in found
    assert b"TTT" not in found
    body = struct.pack("<H", 1) + entry(271, 2, 4, 0x41414141) + struct.pack("<I", 26)
    body += struct.pack("<H", 2) + entry(273, 4, 2, 56) + entry(279, 4, 2, 64) + bytes(4)
    block = b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<4I", 72, 82, 10, 9) + b"FIRSTFIRSTSECONDSEC"
    found = corrected(block, (48, 32))
    assert b"FIRST" not in found
    assert b"SECOND" not in found


def test_resources_of_other_programs_hide_no_iptc():
    given = photoshop((0x0404, IPTC))
    others = b"".join(struct.pack(">4sHHI", kind, 0xBB7, 0, 4) + b"abcd" for kind in (b"MeSa", b"PHUT", b"AgHg"))
    photo = read_photo(saved(extra=jpeg.extra_segments(others + given, ())))
    assert metadata.iptc_of(photo.photoshop) == IPTC
    assert others in photo.photoshop


def test_what_imagemagick_keeps_of_photoshop_in_a_png_loses_its_thumbnail():
    def text(block):
        return b"Raw profile type 8bim\0\n8bim\n%8d\n" % len(block) + block.hex("\n", 36).encode() + b"\n"

    given = photoshop((0x0404, IPTC), (1036, b"before the edit"))
    head, *rest = png.chunks(saved("PNG"))
    (chunk,) = read_photo(png.assembled([head, (b"tEXt", text(given)), *rest])).texts
    assert chunk == (b"tEXt", text(photoshop((0x0404, IPTC))))
    assert read_photo(png.assembled([head, chunk, *rest])).texts == (chunk,)


def test_what_has_no_place_in_a_format_is_named(caplog):
    photo = read_photo(saved(dpi=(300, 300), xmp=REGIONS))
    for name, named in (("WEBP", ["its resolution"]), ("BMP", ["its XMP"]), ("TIFF", [])):
        caplog.clear()
        encode_photo(photo, name)
        assert [part for part in ("its resolution", "its XMP") if part in caplog.text] == named


def test_a_comment_is_latin_where_it_is_no_utf8_and_whole_or_named(caplog):
    photo = read_photo(saved(comment="Grüße".encode("latin-1")))
    assert "Grüße".encode() in encode_photo(photo, "PNG")
    long = replace(photo, comments=(b"short \xff", "ü".encode() * 40_000))
    first, second = jpeg.comments(encode_photo(long, "JPEG"))
    assert first == b"short \xff"
    assert second.decode() == "ü" * (jpeg.MAX_SEGMENT // 2)
    assert "the end of its comment" in caplog.text
    caplog.clear()
    assert len(read_photo(encode_photo(long, "PNG")).texts[1][1]) > 80_000
    assert caplog.text == ""


def test_an_avif_is_turned_by_its_boxes_alone():
    packet = REGIONS.replace(b'dc:source="Jane"', b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"')
    wide = Image.new("RGB", (48, 32))
    tags = Image.Exif()
    tags[271] = "a camera"
    for options in ({}, {"exif": tags}):
        buffer = io.BytesIO()
        wide.save(buffer, "AVIF", xmp=packet, **options)
        assert read_photo(buffer.getvalue()).pixels.shape == (32, 48, 3)


def test_a_depth_map_of_an_avif_is_named():
    buffer = io.BytesIO()
    Image.new("RGBA", (48, 32), (9, 9, 9, 99)).save(buffer, "AVIF")
    data = buffer.getvalue()
    assert read_photo(data).lost == ()
    assert read_photo(data.replace(b"auxiliary:alpha", b"auxiliary:depth")).lost == ("its depth map",)


@pytest.mark.parametrize("number", [280, 281, 339, 513, 530, 532])
def test_no_tag_keeps_a_tiff_from_being_read_again(number):
    tags: exif.Tags = {271: (2, 6, b"Maker\0"), number: (3, 3, struct.pack("<3H", 1, 2, 3))}
    given = b"II*\0" + struct.pack("<I", 8) + exif.assembled("<", tags, 8)
    photo = replace(read_photo(saved("PNG")), exif=given)
    assert (read_photo(encode_photo(photo, "TIFF")).pixels == photo.pixels).all()
