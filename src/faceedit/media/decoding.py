"""From an open image file to a photo: its pixels upright, what their values mean, and what the file says beside."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageFile, ImageOps, ImagePalette, JpegImagePlugin, TiffImagePlugin

from faceedit.media import boxes, colour, deep, exif, jpeg, metadata, png
from faceedit.media.corrections import corrected
from faceedit.media.encoding import check_exif
from faceedit.media.lost import lost_bits, lost_parts, lost_profile, sample_bits
from faceedit.media.photo import Photo

PNG_XMP = png.XMP.decode()
GREY_PNG = (b"\0", b"\4")  # colour types
COLOUR_MAP = 320
SCALES = {2: 85, 4: 17}  # by the bits of a sample
UNREADABLE = b"unreadable: " + bytes(exif.EMPTY)  # EXIF that is there
# As most programs write it: so the rest of a packet stays to the byte, and one that cannot be read is upright too.
# Every repetition is bounded: what a file says would otherwise choose how long this takes.
ORIENTATION = re.compile(
    rb"""\s?tiff:Orientation\s{0,9}=\s{0,9}("[^"<]{0,99}"|'[^'<]{0,99}')|<tiff:Orientation>[^<]{0,99}</tiff:Orientation>"""
)


def decoded(file: ImageFile.ImageFile, data: bytes, name: str) -> Photo:
    """The photo in a file that Pillow opened, of these bytes and this name.

    Raises UnreadableError for an HDR photo, and whatever Pillow raises for pixels that cannot be decoded.
    """
    # Also of an MPO, which has further pictures behind.
    jpeg_file = file if isinstance(file, JpegImagePlugin.JpegImageFile) else None
    _make_decodable(file, data)
    is_deep = deep.is_deep(file, data)
    with _without_xmp(file):  # by which Pillow would turn an AVIF
        _drop_unusable(file, data)
    code_points = _code_points(file, data)
    if code_points and not file.info.get("icc_profile"):
        colour.profile_of_code_points(*code_points)  # which refuses HDR before it is decoded
    # What Pillow turns comes without what it said: a TIFF while it loads. A PNG may say it behind its pixels.
    orientation, xmp = file.getexif().get(exif.ORIENTATION, 1), file.info.get("xmp")
    file.load()
    block, xmp = _exif_block(file, data), xmp or file.info.get("xmp") or file.info.get(PNG_XMP)
    image: Image.Image = file
    ImageOps.exif_transpose(image, in_place=True)  # a copy of the largest photo would take half a gigabyte
    grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
    grey = grey or (file.format == "PNG" and data[25:26] in GREY_PNG)
    icc = colour.profile_of_bmp(data) if file.format == "BMP" else _profile(file, code_points, grey, block)
    orientation = orientation if isinstance(orientation, int) else 1
    samples = deep.read(data, orientation) if is_deep else None
    is_plain = image.mode not in ("CMYK", "LAB")
    bits, is_signed = sample_bits(file)
    if image.mode.startswith("I") or image.mode == "F" or (image.mode == "L" and is_signed):
        image = colour.eight_bits(image, bits, is_signed, getattr(file, "tag_v2", {}).get(deep.PHOTOMETRIC) == 0)
    pixels, alpha = _pixels(image if is_plain else colour.plain_rgb(image, icc, name))
    if file.format in ("AVIF", "WEBP") and (icc or b"")[16:20] == b"GRAY":  # which come in colour
        grey = bool((pixels == pixels[..., :1]).all())
    if samples is not None and deep.agrees(samples, pixels):
        pixels, alpha = deep.eight_bits_of(samples)
    else:
        samples = None
    size = (pixels.shape[1], pixels.shape[0])
    xmp, lost = _true_xmp(xmp, size, orientation != 1)
    block, gone = _true_exif(block, size)
    lost += gone + ([] if samples is not None else lost_bits(file, data, is_deep))
    lost += lost_profile(file, data, code_points)
    lost += [name for name in lost_parts(file, data) if name != jpeg.PICTURES or metadata.GAIN_MAP not in lost]
    return Photo(
        pixels=pixels,
        alpha=alpha,
        grey=grey,
        icc=icc if is_plain else None,
        exif=block,
        xmp=xmp,
        photoshop=_photoshop(file, data),
        comments=jpeg.comments(data) if jpeg_file else (),
        texts=png.texts(data) if file.format == "PNG" else (),
        dpi=_resolution(file, orientation),
        deep=samples,
        jpeg_options=(jpeg.options(jpeg_file) or None) if jpeg_file and is_plain else None,
        format="JPEG" if jpeg_file else file.format or "PNG",
        animated=file.format in ("PNG", "WEBP", "AVIF") and getattr(file, "is_animated", False),
        lost=tuple(dict.fromkeys(lost)),
        name=name,
    )


def _make_decodable(file: ImageFile.ImageFile, data: bytes) -> None:
    """Have Pillow decode in an open file of these bytes what it would not by itself, or wrongly."""
    if isinstance(file, JpegImagePlugin.JpegImageFile):  # all at once: arithmetic coding cannot be decoded in pieces
        jpeg.check_scans(data)
        file.decodermaxblock = max(file.decodermaxblock, len(data))
    if file.format == "PNG":
        png.check_whole(data)
    clear = file.info.get("transparency")
    if file.format == "PNG" and file.mode == "L" and isinstance(clear, int):  # as the file has it, in fewer bits
        file.info["transparency"] = clear * SCALES.get(data[24], 1)
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return
    if file.mode == "P" and max(file.tag_v2.get(COLOUR_MAP, (256,))) < 256:  # of 8 bits, which should be of 16
        file.palette = ImagePalette.raw("RGB;L", bytes(file.tag_v2[COLOUR_MAP]))


def _pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 3) uint8 RGB, and the transparency (H, W) uint8 or None."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))  # read-only: a copy takes time
    alpha = np.ascontiguousarray(pixels[..., 3]) if mode == "RGBA" else None
    return np.ascontiguousarray(pixels[..., :3]), alpha


def _code_points(file: ImageFile.ImageFile, data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer (H.273) that a file says, before which an ICC profile goes, but in a PNG."""
    if file.format in ("AVIF", "HEIF"):
        return boxes.code_points(data)
    if file.format == "PNG":
        for kind, text in png.chunks(data):
            if kind == b"cICP" and len(text) == 4 and text[1] != colour.UNSPECIFIED:
                file.info.pop("icc_profile", None)
                return text[0], text[1]
            if kind == b"IDAT":
                break
    return None


def _profile(
    file: ImageFile.ImageFile, code_points: tuple[int, int] | None, grey: bool, block: bytes | None
) -> bytes | None:
    """The file's ICC profile, or one made of what it says of its colours otherwise; of sRGB where EXIF says another."""
    if icc := file.info.get("icc_profile"):
        return icc
    found = None
    if code_points:
        found = colour.profile_of_code_points(*code_points, grey)
    elif file.format == "PNG" and "srgb" not in file.info:
        return colour.profile_of_gamma(file.info.get("gamma"), file.info.get("chromaticity"), grey)
    if found is None and not grey and (code_points or "srgb" in file.info) and colour.profile_of_exif(block):
        return colour.built_profile(colour.SRGB_PRIMARIES, colour.SRGB_CURVE)
    return found


def _resolution(file: ImageFile.ImageFile, orientation: int) -> tuple[float, float] | None:
    """Pixels an inch, upright; None also where it is no pair of numbers that other formats can hold."""
    if file.format == "TIFF" and exif.RESOLUTION[0] not in getattr(file, "tag_v2", {}):
        return None  # where Pillow says 1
    dpi = file.info.get("dpi")
    try:
        if not dpi or not all(0 < float(value) < 1e6 for value in dpi):
            return None
        return (dpi[1], dpi[0]) if orientation > 4 else dpi
    except (TypeError, ValueError, ZeroDivisionError):
        return None


@contextmanager
def _without_xmp(file: ImageFile.ImageFile) -> Iterator[None]:
    """What an open AVIF says in XMP is not read meanwhile: its boxes alone turn it."""
    packet = file.info.pop("xmp", None) if file.format == "AVIF" else None
    yield
    if packet is not None:
        file.info["xmp"] = packet


def _drop_unusable(file: ImageFile.ImageFile, data: bytes) -> None:
    """Take out of an open file the metadata that would keep Pillow from its pixels: a photo is worth more.

    What ImageMagick puts into texts of a PNG goes where other programs put it.
    """
    for key, found in png.raw_profiles(data).items() if file.format == "PNG" else ():
        file.info.setdefault(key, found or (UNREADABLE if key == "exif" else b""))
    for key, kinds in (("icc_profile", bytes), ("xmp", bytes), (PNG_XMP, str)):
        value = file.info.get(key)
        if isinstance(value, str) and kinds is bytes:  # a TIFF's tag may have the type of a text
            file.info[key] = value.encode("utf-8", "replace")
        elif not isinstance(value, kinds):
            file.info.pop(key, None)
    try:
        tags = file.getexif()
    except Exception:  # the parser raises whatever it meets
        tags = file.getexif()  # as far as it came
    for folder in exif.FOLDERS:
        try:
            if folder in tags:
                tags.get_ifd(folder)
        except Exception:
            del tags[folder]


def _true_xmp(packet: bytes | str | None, size: tuple[int, int], turned: bool) -> tuple[bytes | None, list[str]]:
    """The packet upright and true of an edited file, and the names of what had to go."""
    if not packet:
        return None, []
    packet = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
    return metadata.true_xmp(ORIENTATION.sub(b"", packet), size, turned)


def _exif_block(file: ImageFile.ImageFile, data: bytes) -> bytes | None:
    """The block of EXIF as the file has it; a TIFF's tags, as one."""
    block = file.info.get("exif")
    try:
        if file.format == "TIFF":
            block = exif.from_tiff(data)
        elif file.format == "AVIF":  # which Pillow makes anew where it says to turn the picture
            block = file._decoder.get_info()[4]  # type: ignore[attr-defined]
    except (struct.error, ValueError):
        return UNREADABLE
    return block if block and isinstance(block, bytes) else None


def _true_exif(block: bytes | None, size: tuple[int, int]) -> tuple[bytes | None, list[str]]:
    """The block with what is true of an edited file of this size, and its name where it cannot be read."""
    if block is None:
        return None, []
    try:
        found = corrected(block.removeprefix(exif.PREFIX), size)
        if found is not None:
            again = Image.Exif()
            again.load(found)
            check_exif(again)
            return found, []
    except MemoryError:
        raise
    except Exception:  # the parser raises whatever it meets; a photo is worth more than its EXIF
        pass
    return None, ["its EXIF, which cannot be read"] if len(block) > exif.EMPTY else []


def _photoshop(file: ImageFile.ImageFile, data: bytes) -> bytes | None:
    """Photoshop's resources, with the IPTC of a TIFF, which may stand by itself."""
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        return metadata.true_resources(jpeg.photoshop(data))
    if file.format != "TIFF":
        return None
    try:
        block, iptc = (exif.tiff_value(data, number) for number in (exif.PHOTOSHOP, exif.IPTC))
    except (struct.error, ValueError):
        return None
    return metadata.true_resources(block or b"", iptc)
