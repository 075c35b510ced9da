"""From a photo to the bytes of a file. What a format cannot hold is left out, and named in one warning."""

import io
import logging
import struct
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from faceedit.errors import UnwritableError, sentence
from faceedit.media import colour, deep, exif, jpeg, metadata, png, tiff
from faceedit.media.corrections import corrected
from faceedit.media.formats import KEEPS, SAVE_OPTIONS
from faceedit.media.photo import Photo

logger = logging.getLogger(__name__)
MAX_EXIF = {"JPEG": jpeg.MAX_SEGMENT - len(exif.PREFIX)}  # bytes
# What may be left out where a photo cannot be written with it, in this order, and how it is named.
OPTIONAL = {
    "jpeg_options": "its own JPEG tables",
    "dpi": "its resolution",
    "photoshop": "its IPTC",
    "texts": "its texts",
    "exif": "its EXIF",
    "icc": "its colour profile",
    "xmp": "its XMP",
}
NAMED = {"exif": "its EXIF", "xmp": "its XMP"}
UNSAID_DPI = 72  # what programs write that know none
EXTRAS = ("jpeg_options", "dpi", "photoshop", "texts", "exif", "icc")  # all but what says that the photo was edited
EXIF_FORMATS = ("JPEG", "TIFF")  # in which programs look into EXIF for what colours mean
GREY_FORMATS = ("JPEG", "PNG", "TIFF")  # with a place for grey and a profile for it
NOTHING: dict[str, Any] = {"texts": (), "comments": ()}  # else None


def encode_photo(photo: Photo, format: str) -> bytes:
    """The bytes of a file of this format (Pillow's name) with the photo and what it carried.

    Headers and metadata are parsed again. What the format cannot hold, or what is not read back as it was written, is
    left out, and named in one warning that is logged. Raises UnwritableError.
    """
    supported, gone = supported_part(photo, format)
    problem: Exception | None = None
    for without in ((), *((name,) for name in OPTIONAL if getattr(supported, name)), EXTRAS):
        nothing: dict[str, Any] = {name: NOTHING.get(name) for name in without}
        try:
            kept = replace(supported, **nothing)
            data = _encoded(kept, format)
            _check_readable(data, kept, format)
        except MemoryError:
            raise
        except Exception as error:  # what Pillow raises depends on what the photo carries
            problem = problem or error
            continue
        gone += [OPTIONAL[name] for name in without if getattr(supported, name)]
        if gone:
            logger.warning("%s: as %s this is left out: %s", photo.name, format, ", ".join(dict.fromkeys(gone)))
        return data
    height, width = photo.pixels.shape[:2]
    reason = sentence(problem) if problem else "it does not say why"
    raise UnwritableError(f"cannot write {width}x{height} pixels as {format}: {reason}") from problem


def supported_part(photo: Photo, format: str) -> tuple[Photo, list[str]]:
    """The parts of a photo that the format can hold, and the names of those that it cannot."""
    keeps, gone = KEEPS[format], list(photo.lost)
    if photo.alpha is not None and "alpha" not in keeps:
        if photo.alpha.min(initial=255) < 255:
            gone.append("its transparency, on white")
        photo = photo.flattened()
    if format not in (*EXIF_FORMATS, photo.format):
        photo = photo.with_profile()
    has_profile, how = photo.icc is not None, "its colours converted"
    if photo.grey and photo.icc and format not in GREY_FORMATS:
        photo = photo.in_colour()
    if photo.icc and "icc" not in keeps:
        pixels = colour.to_srgb(photo.pixels, photo.icc)
        how = "its colours converted" if pixels is not photo.pixels else "which cannot be used"
        photo = replace(photo, pixels=pixels, icc=None, deep=None)
    if has_profile and photo.icc is None:
        gone.append(f"its colour profile, {how}")
    if photo.deep is not None and "deep" not in keeps:
        photo = replace(photo, deep=None)
        gone.append("its 16 bits a sample, of which 8 are kept")
    if "texts" not in keeps and photo.texts:
        found = [png.comment(chunk) for chunk in photo.texts]
        if "comments" in keeps:
            photo = replace(photo, comments=photo.comments + tuple(text for text in found if text))
        keys = [
            chunk[1].partition(b"\0")[0].decode("latin-1")
            for chunk, text in zip(photo.texts, found, strict=True)
            if text is None or "comments" not in keeps
        ]
        gone += [f"its texts ({', '.join(dict.fromkeys(keys))})"] if keys else []
    if "comments" not in keeps and photo.comments:
        gone.append("its comment")
    if photo.photoshop and "photoshop" not in keeps:
        gone.append("its IPTC" if metadata.iptc_of(photo.photoshop) else "its Photoshop settings")
    gone += [name for part, name in NAMED.items() if getattr(photo, part) and part not in keeps]
    if photo.dpi and "dpi" not in keeps and max(map(float, photo.dpi)) != UNSAID_DPI:
        gone.append("its resolution")
    if format == "JPEG" and any(len(text) > jpeg.MAX_SEGMENT for text in photo.comments):
        photo = replace(photo, comments=tuple(map(_segment_long, photo.comments)))
        gone.append("the end of its comment")
    for name in {"exif", "xmp", "icc", "dpi", "photoshop", "comments", "texts"} - keeps:
        nothing: dict[str, Any] = {name: NOTHING.get(name)}
        photo = replace(photo, **nothing)
    if photo.exif:
        block = photo.exif.removeprefix(exif.PREFIX)
        block = corrected(block, (photo.pixels.shape[1], photo.pixels.shape[0])) or block
        try:
            fitting, names = exif.within(block, MAX_EXIF.get(format, len(block)))
        except (struct.error, ValueError):
            fitting, names = None, ["its EXIF"]
        photo, gone = replace(photo, exif=fitting), gone + names
    return photo, gone


def _segment_long(text: bytes) -> bytes:
    """A comment, or as many of its characters as a segment of a JPEG holds."""
    if len(text) <= jpeg.MAX_SEGMENT:
        return text
    return text[: jpeg.MAX_SEGMENT].decode("utf-8", "ignore").encode()


def _encoded(photo: Photo, format: str) -> bytes:
    block = photo.exif and photo.exif.removeprefix(exif.PREFIX)
    if format == "TIFF":
        return _tiff(photo, block)
    image = Image.fromarray(photo.pixels)
    if photo.grey:
        image = image.convert("L")
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    options: dict[str, object] = dict(SAVE_OPTIONS.get(format, {}))
    carried: dict[str, object] = {"icc_profile": photo.icc, "exif": block, "xmp": photo.xmp, "dpi": photo.dpi}
    if format == "JPEG":
        if photo.jpeg_options and len(photo.jpeg_options["qtables"]) >= (1 if photo.grey else 2):
            options = dict(photo.jpeg_options)
        carried["exif"] = block and exif.PREFIX + block
        carried["extra"] = jpeg.extra_segments(photo.photoshop or b"", photo.comments)
    elif format == "PNG":
        carried["pnginfo"] = _png_texts(photo)
    elif format == "AVIF":
        if photo.grey:
            del options["subsampling"]
        carried["exif"] = block and exif.without_orientation(block)  # with one, Pillow would make it anew
    options |= {key: value for key, value in carried.items() if value}
    buffer = io.BytesIO()
    if format == "PNG" and photo.deep is not None:
        Image.new("L", (1, 1)).save(buffer, format, **options)
        head, body = deep.png_chunks(photo.deep)
        others = [chunk for chunk in png.chunks(buffer.getvalue()) if chunk[0] not in (b"IHDR", b"IDAT", b"IEND")]
        return png.assembled([head, *others, body, (b"IEND", b"")])
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _png_texts(photo: Photo) -> PngImagePlugin.PngInfo:
    found = PngImagePlugin.PngInfo()
    for kind, text in (*photo.texts, *map(png.comment_chunk, photo.comments)):
        found.add(kind, text)
    if photo.xmp:
        found.add_itxt(png.XMP.decode(), photo.xmp.decode("utf-8", "replace"))
    return found


def _tiff(photo: Photo, block: bytes | None) -> bytes:
    samples = photo.deep
    if samples is None:
        colours = np.asarray(Image.fromarray(photo.pixels).convert("L"))[..., None] if photo.grey else photo.pixels
        samples = colours if photo.alpha is None else np.dstack([colours, photo.alpha])
    more: exif.Tags = {}
    for number, value in (
        (exif.XMP, photo.xmp),
        (exif.ICC, photo.icc),
        (exif.PHOTOSHOP, photo.photoshop),
        (exif.IPTC, photo.photoshop and metadata.iptc_of(photo.photoshop)),
    ):
        if value:
            more[number] = (exif.UNDEFINED if number != exif.XMP else exif.BYTE, len(value), value)
    if photo.dpi and not (block and all(exif.tiff_value(block, number) for number in exif.RESOLUTION)):
        for number, inch in zip(exif.RESOLUTION, photo.dpi, strict=True):
            more[number] = (exif.RATIONAL, 1, struct.pack("<II", round(float(inch) * 1000), 1000))
        more[exif.RESOLUTION_UNIT] = (exif.SHORT, 1, struct.pack("<H", 2))
    return exif.with_tags(deep.tiff(samples), block, more)


def _check_readable(data: bytes, photo: Photo, format: str) -> None:
    """Raise where the file's headers and metadata do not say again what was written; the pixels are not decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if format == "TIFF":
            _decode_corner(photo)
        again = tiff.rebuilt(data) if format == "TIFF" else None
        data = again.data if again else data
        with Image.open(io.BytesIO(data), formats=[format]) as file:
            if file.size != photo.pixels.shape[1::-1]:
                raise ValueError(f"its size would be read as {file.size}")
            if file.info.get("icc_profile") != (photo.icc or None):
                raise ValueError("its colour profile would be read as another")
            found = file.getexif()
            if "exif" in file.info:  # of a JPEG, opening it has read what it could
                found = Image.Exif()
                found.load(file.info["exif"])
            check_exif(found)


def _decode_corner(photo: Photo) -> None:
    """Raise where a TIFF of one of the photo's pixels, with all its tags, is not decoded: libtiff minds some."""
    alpha = None if photo.alpha is None else photo.alpha[:1, :1]
    samples = None if photo.deep is None else photo.deep[:1, :1]
    small = replace(photo, pixels=photo.pixels[:1, :1], alpha=alpha, deep=samples)
    data = _tiff(small, small.exif and small.exif.removeprefix(exif.PREFIX))
    again = tiff.rebuilt(data)
    with Image.open(io.BytesIO(again.data if again else data), formats=["TIFF"]) as file:
        file.load()


def check_exif(found: Image.Exif) -> None:
    """Raise where a tag, or a folder of tags, cannot be read."""
    dict(found)
    for folder in exif.FOLDERS:
        if folder in found:
            found.get_ifd(folder)
