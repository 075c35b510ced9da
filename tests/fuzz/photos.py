"""Damaged photos through all that reads and writes them: python -m tests.fuzz.photos COUNT [SEED] [PROCESSES]

Each is read; what can be read is marked as edited, written in its own format and in another one, and read again. It
prints what escaped, what took longer than SLOW seconds, and what could not be read back, and ends with 1 if there was
any. A finding's bytes go to the folder `fuzz-findings`; tests/test_hostile.py runs a share of this.
"""

import hashlib
import io
import logging
import random
import struct
import sys
import time
import traceback
import warnings
import zlib
from collections import Counter
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from faceedit.errors import UnreadableError, UnwritableError
from faceedit.media import colour, deep, exif, jpeg, png
from faceedit.media.image import READ_FORMATS, Photo, encode_photo, read_photo
from faceedit.media.provenance import COMPOSITE, MAX_XMP, Provenance, from_xmp, to_xmp
from tests.media.test_metadata import DIRECTORY, IPTC, block, packet, photoshop
from tests.media.test_tiff import written

SLOW = 2.0
FINDINGS = Path("fuzz-findings")
EDIT = Provenance(COMPOSITE, "weights", "ab" * 32, "a face")
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""
TAGS = (
    254, 256, 257, 258, 262, 270, 271, 274, 277, 282,
    296, 330, 700, 33723, 34377, 34665, 34675, 34853, 36867, 40965,
)  # fmt: skip
PIECES = (
    b"\0",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"Exif\0\0",
    b"ICC_PROFILE\0",
    b"<",
    b" " * 99,
)

# Where the structures begin whose numbers are changed: EXIF, ICC, Photoshop, XMP, and the boxes of AVIF and HEIC.
MARKS = (b"Exif\0\0", b"II*\0", b"MM\0*", b"acsp", b"XYZ ", b"8BIM", b"xmpmeta", b"cICP", b"eXIf", b"VP8X", b"tRNS")
MARKS += (b"meta", b"pitm", b"iloc", b"iinf", b"iref", b"ipco", b"ipma", b"colr", b"ispe", b"pixi", b"hvcC", b"av1C")

PIXELS = np.arange(24 * 16 * 3, dtype=np.uint8).reshape(24, 16, 3)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
METADATA = {  # what is damaged before it goes into a photo
    "exif": (block(), block(">"), block(thumbnail=False)),
    "xmp": (XMP, packet('G:MotionPhoto="1" n:HasExtendedXMP="A"', DIRECTORY), to_xmp(EDIT)),
    "icc_profile": (
        PROFILE,
        colour.built_profile(colour.PRIMARIES[12], (2.2,)),
        colour.built_profile(colour.PRIMARIES[9], (2.4,), True),
    ),
    "photoshop": (photoshop((0x0404, IPTC), (0x040C, b"small")),),
}


def seeds() -> list[bytes]:
    """A small photo of each format and mode, with metadata of each kind."""
    pixels, icc = PIXELS, PROFILE
    tags = Image.Exif()
    tags[274], tags[271] = 6, "Maker"
    tags.get_ifd(34665)[36867] = "2020:01:02 03:04:05"
    tags.get_ifd(34853)[1] = "N"
    made = []
    for name in READ_FORMATS:
        for photo in (Photo(pixels, exif=tags.tobytes(), xmp=XMP, icc=icc, dpi=(72, 72)), Photo(pixels, grey=True)):
            made.append(encode_photo(photo, name))
        made.append(encode_photo(Photo(pixels, alpha=pixels[..., 0].copy()), name))

    def saved(image: Image.Image, name: str, **options: object) -> None:
        buffer = io.BytesIO()
        image.save(buffer, name, **options)
        made.append(buffer.getvalue())

    image = Image.fromarray(pixels)
    for mode in ("CMYK", "P", "1", "I;16", "F"):
        saved(image.convert("L").convert(mode) if mode in ("I;16", "F") else image.convert(mode), "TIFF")
    saved(image.convert("CMYK"), "JPEG", icc_profile=icc)
    saved(image, "TIFF", big_tiff=True, exif=tags)
    saved(image, "JPEG", progressive=True, comment=b"hello")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    saved(image.convert("P"), "PNG", pnginfo=text, transparency=3, exif=tags)
    saved(image, "WEBP", save_all=True, append_images=[image.rotate(180)])
    saved(image, "MPO", save_all=True, append_images=[image.rotate(180)])
    return made + rich_seeds(pixels, icc)


def rich_seeds(pixels: np.ndarray, icc: bytes) -> list[bytes]:
    """Photos with the structures of cameras, phones and programs: EXIF with a thumbnail, IPTC, texts, code points."""
    grey = np.repeat(pixels[..., :1].astype(np.uint16) * 257, 2, axis=2)
    texts = [(b"tEXt", b"Title\0a"), (b"iTXt", b"Comment\0\0\0\0\0b"), (b"zTXt", b"c\0\0" + zlib.compress(b"c"))]
    everything = Photo(
        pixels,
        exif=block(),
        xmp=packet('G:MotionPhoto="1" n:HasExtendedXMP="A"', DIRECTORY),
        icc=icc,
        photoshop=photoshop((0x0404, IPTC), (0x040C, b"small")),
        comments=(b"comment",),
    )
    made = [encode_photo(everything, name) for name in READ_FORMATS]
    deeper = Photo(pixels, alpha=pixels[..., 0].copy(), exif=block(">"), icc=icc, texts=tuple(texts))
    for samples in (grey[..., :1], grey, np.dstack([grey, grey])):
        for name in ("PNG", "TIFF"):
            photo = replace(deeper, deep=samples, grey=samples.shape[2] < 3)
            made.append(encode_photo(photo if samples.shape[2] in (2, 4) else replace(photo, alpha=None), name))
    made += [written(np.dstack([grey, grey[..., :1]]), 2, planar=True), written(grey, 0, 2, difference=True)]
    head, *rest = png.chunks(encode_photo(Photo(pixels), "PNG"))
    colours = [(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", struct.pack(">8I", *range(20_000, 100_000, 10_000)))]
    made += [png.assembled([head, chunk, *rest]) for chunk in (*colours, (b"cICP", bytes([12, 13, 0, 1])))]
    made.append(made[0] + b"\0\0\0\x18ftypmp42" + bytes(50))
    return made


def tagged(dice: random.Random) -> bytes:
    """A TIFF with tags of any type."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    values = {1: b"bytes", 2: "text", 3: (7, 8), 4: (99_999,), 5: (TiffImagePlugin.IFDRational(1, 0),), 7: b"II*\0\xff"}
    for tag in dice.sample(TAGS[5:], dice.randint(1, 4)):
        kind = dice.choice(list(values))
        tags[tag], tags.tagtype[tag] = values[kind], kind
    buffer = io.BytesIO()
    try:
        Image.new("RGB", (8, 8)).save(buffer, "TIFF", tiffinfo=tags, big_tiff=dice.random() < 0.3)
    except Exception:
        return b""
    return buffer.getvalue()


def dressed(dice: random.Random) -> bytes:
    """A photo of any format whose metadata were damaged before they went in, past its checksums and compression."""
    parts = {name: damaged_bytes(dice, dice.choice(blocks)) for name, blocks in METADATA.items() if dice.random() < 0.6}
    name, buffer = dice.choice(READ_FORMATS), io.BytesIO()
    image = Image.fromarray(PIXELS) if dice.random() < 0.8 else Image.fromarray(PIXELS).convert("L")
    resources = parts.pop("photoshop", b"")
    try:
        if name == "TIFF":
            numbers = {"icc_profile": exif.ICC, "xmp": exif.XMP}
            tags = {numbers[part]: (7, len(text), text) for part, text in parts.items() if part in numbers}
            return exif.with_tags(
                deep.tiff(PIXELS), parts.get("exif"), tags | {exif.PHOTOSHOP: (7, len(resources), resources)}
            )
        if name == "JPEG":
            parts["extra"] = jpeg.extra_segments(resources, (resources[:9],))
        if name == "PNG":
            texts = PngImagePlugin.PngInfo()
            texts.add(b"iTXt", png.XMP + b"\0\1\0\0\0" + zlib.compress(parts.pop("xmp", b"")))
            parts["pnginfo"] = texts
        image.save(buffer, name, **parts)
    except Exception:  # Pillow and its plugins look into some of it
        return b""
    return buffer.getvalue()


SEEDS = seeds()


def damaged(dice: random.Random) -> bytes:
    """The bytes of a photo with up to six places changed; of some, the tags or metadata before they went in."""
    kind = dice.random()
    data = tagged(dice) if kind < 0.15 else dressed(dice) if kind < 0.4 else dice.choice(SEEDS)
    data = damaged_bytes(dice, data)
    if data.startswith(png.START) and dice.random() < 0.7:  # with checksums that hold
        data = png.assembled(list(png.chunks(data)))
    return data


def damaged_bytes(dice: random.Random, given: bytes) -> bytes:
    """The bytes with up to six places changed: any, numbers in structures, and tags."""
    data = bytearray(given)
    for _ in range(dice.randint(0, 6)):
        place = dice.randrange(len(data) or 1)
        kind = dice.random()
        if kind < 0.4:
            data[place : place + 1] = bytes([dice.randrange(256)])
        elif kind < 0.55:
            piece = dice.choice(PIECES)
            data[place : place + dice.choice([0, len(piece)])] = piece
        elif kind < 0.65:
            del data[place : place + dice.randrange(64)]
        elif kind < 0.85:  # a number in a structure
            places = [place for mark in MARKS if (place := data.find(mark)) >= 0]
            place = dice.choice(places or [0]) + dice.randrange(120)
            width = dice.choice([1, 2, 4])
            number = dice.choice([0, 1, 0x7F, 0xFF, len(data), (1 << 8 * width) - 1, 1 << (8 * width - 1)])
            data[place : place + width] = (number % (1 << 8 * width)).to_bytes(width, dice.choice(["little", "big"]))
        else:  # a tag, in either order of bytes
            order = dice.choice(["little", "big"])
            at = data.find(dice.choice(TAGS).to_bytes(2, order))
            if at >= 0:
                data[at + 2 : at + 4] = dice.randrange(14).to_bytes(2, order)
    return bytes(data)


def tried(number: int) -> str | None:
    """What is wrong with how the photo of this number is treated, or None."""
    warnings.simplefilter("ignore")  # Pillow's, about sloppy files
    dice = random.Random(number)
    data = damaged(dice)
    start = time.process_time()
    problem = None
    try:
        problem = _through(data, dice)
    except Exception:
        problem = traceback.format_exc(limit=-3)
    if (seconds := time.process_time() - start) > SLOW:
        problem = f"took {seconds:.1f} s"
    if problem:
        FINDINGS.mkdir(exist_ok=True)
        (FINDINGS / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    return problem and f"{number}: {problem}"


def _through(data: bytes, dice: random.Random) -> str | None:
    try:
        photo = read_photo(data)
    except UnreadableError:
        return None
    words = to_xmp(EDIT, photo.xmp)
    edited = photo.with_pixels(photo.pixels ^ 1)
    marked = replace(edited, xmp=words if len(words) <= MAX_XMP else to_xmp(EDIT))
    photo.drawable()
    for name in {photo.format, dice.choice(READ_FORMATS)}:
        try:
            data = encode_photo(marked, name)
        except UnwritableError as error:
            # WebP's largest side; and x265 encodes no strips a few pixels wide.
            if (max(photo.pixels.shape) > 16_383 and name == "WEBP") or (name == "HEIF" and "x265" in str(error)):
                continue
            return f"{name} cannot be written"
        try:
            again = read_photo(data)
        except UnreadableError as error:
            return f"{name} cannot be read back: {error}"
        if again.pixels.shape != photo.pixels.shape:
            return f"{name} has another size"
        if name != "BMP" and from_xmp(again.xmp) != EDIT:
            return f"{name} does not say that it was edited"
    return None


def fuzz(count: int, seed: int = 0, processes: int = 1) -> list[str]:
    """The problems that damaged photos of these many numbers make."""
    logging.getLogger("faceedit").setLevel(logging.ERROR)
    numbers = range(seed, seed + count)
    if processes == 1:
        return [problem for problem in map(tried, numbers) if problem]
    with Pool(processes) as pool:
        return [problem for problem in pool.imap_unordered(tried, numbers, 200) if problem]


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    problems = fuzz(*arguments)
    kinds = Counter(problem.strip().splitlines()[-1].partition(": ")[2] or problem for problem in problems)
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    print("\n".join(problems[:5]))
    print(f"{arguments[0]} photos, {len(problems)} problems")
    sys.exit(bool(problems))
