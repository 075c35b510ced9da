"""Reading and writing photos: the only place where image files become arrays and arrays become image files.

Arrays are HWC uint8 RGB, upright.
"""

import io
import logging
import re
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin

from faceedit.errors import UnreadableError, UsageError
from faceedit.files import write_atomically

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says there, it raises too
MAX_PIXELS = 150_000_000
MAX_SIDE = 32_000  # what OpenCV warps
READ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF")
WRITE_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
ORIENTATION_TAG = 0x0112
XMP_TAG = 700
PNG_XMP = "XML:com.adobe.xmp"
# Every repetition is bounded: what a file says would otherwise choose how long this takes.
ORIENTATION = re.compile(
    rb"""\s?tiff:Orientation\s{0,9}=\s{0,9}("[^"<]{0,99}"|'[^'<]{0,99}')|<tiff:Orientation>[^<]{0,99}</tiff:Orientation>"""
)
# TIFF tags that describe how the pixels of the source file are laid out, and would be wrong in another file.
LAYOUT_TAGS = (*range(254, 260), 262, 266, 273, 277, 278, 279, 284, 317, 320, *range(322, 326), *range(330, 348))
# ICC, IPTC and Photoshop blocks, which a TIFF keeps among its tags: the profile is carried by itself, and the others
# are too long for the EXIF of a JPEG.
BLOCK_TAGS = (33723, 34377, 34675)
SAVE_OPTIONS: dict[str, dict[str, int | str]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "PNG": {"compress_level": 4},  # nearly as small as with Pillow's 6, in two fifths of the time
}


class JpegOptions(TypedDict):
    """What Pillow compresses a JPEG by: quantisation tables and chroma subsampling."""

    qtables: dict[int, list[int]]
    subsampling: int


@dataclass(frozen=True)
class Photo:
    """A photo and what its file carried beside the pixels.

    pixels: (H, W, 3) uint8 RGB, upright. alpha: (H, W) uint8 or None. grey: the file had no colour.
    icc, exif, xmp: as stored in a file, or None; the orientation in EXIF has been applied and removed.
    jpeg_options: those of a JPEG, so that writing it again loses least. format: Pillow's name of the file's. animated:
    the file holds further pictures, of which this is the first.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    jpeg_options: JpegOptions | None = None
    format: str = "PNG"
    animated: bool = False

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """The same photo with other pixels (H, W, 3) uint8."""
        return replace(self, pixels=pixels)

    @property
    def colour_profile(self) -> bytes | None:
        """The ICC profile for a picture in colour that is drawn from this one; a grey photo's is for grey."""
        return None if self.grey else self.icc

    def without_metadata(self) -> "Photo":
        """The same photo with nothing but what its look depends on: no EXIF (camera, place, time) and no XMP."""
        return replace(self, exif=None, xmp=None)


def read_photo(source: str | Path | bytes) -> Photo:
    """The photo in a file, or in the bytes of one: JPEG, PNG, WebP, TIFF, BMP or AVIF; an animation's first frame.

    Samples of 16 bits or floating point become 8 bits. Raises UnreadableError.
    """
    name = "the input" if isinstance(source, bytes) else str(source)
    try:
        if not isinstance(source, bytes) and Path(source).exists() and not Path(source).is_file():
            raise UnreadableError(f"cannot read {name}: it is no file")  # a pipe would make us wait for ever
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large or sloppy files; what matters raises below
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=READ_FORMATS) as file:
                if file.width * file.height > MAX_PIXELS:
                    megapixels = file.width * file.height // 1_000_000
                    raise UnreadableError(
                        f"{name} has {megapixels} megapixels, more than the {MAX_PIXELS // 1_000_000} that are read"
                    )
                if max(file.size) > MAX_SIDE:
                    raise UnreadableError(f"{name} has a side of {max(file.size)} pixels, more than {MAX_SIDE}")
                return _photo_from(file)
    except (UnreadableError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UnreadableError(f"there is no file {name}") from error
    except Exception as error:  # the decoders raise whatever they meet; to the user it is one thing
        reason = "it is not a photo in a format that is read" if "cannot identify" in str(error) else _sentence(error)
        raise UnreadableError(f"cannot read {name}: {reason}") from error


def write_photo(path: str | Path, photo: Photo) -> None:
    """Write a photo, whole or not at all, in the format that the name of `path` says.

    Raises UsageError for an unknown ending, UnreadableError when it cannot be written.
    """
    write_atomically(path, encode_photo(photo, format_of(path)))


def format_of(path: str | Path) -> str:
    """Pillow's name of the format that a file name ends in. Raises UsageError for one that is not written."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITE_FORMATS:
        raise UsageError(f"cannot tell the format of {path}: its name must end in {', '.join(WRITE_FORMATS)}")
    return WRITE_FORMATS[suffix]


def encode_photo(photo: Photo, format: str) -> bytes:
    """The bytes of a file of this format (Pillow's name) with the photo and what it carried."""
    image = Image.fromarray(photo.pixels)
    if photo.grey:
        image = image.convert("L")
    if photo.alpha is not None and format != "JPEG":
        image.putalpha(Image.fromarray(photo.alpha))
        image = image.convert("RGBA") if format == "BMP" else image  # which has no grey with transparency
    options: dict[str, object] = dict(SAVE_OPTIONS.get(format, {}))
    if format == "JPEG" and photo.jpeg_options and len(photo.jpeg_options["qtables"]) >= (1 if photo.grey else 2):
        options = dict(photo.jpeg_options)
    carried: dict[str, object] = {"icc_profile": photo.icc, "exif": photo.exif, "xmp": photo.xmp, "dpi": photo.dpi}
    if format == "TIFF":
        if photo.exif:
            options = {}  # Pillow writes the folders of EXIF into uncompressed TIFF only
        carried["exif"] = _tiff_tags(photo)
    elif format == "PNG" and photo.xmp:
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(PNG_XMP, photo.xmp.decode("utf-8", "replace"))
        carried["pnginfo"] = chunks
    elif format == "BMP":
        carried = {"dpi": photo.dpi}  # the format has no place for the rest
    options |= {key: value for key, value in carried.items() if value}
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **options)
    except (
        OSError,
        ValueError,
        RuntimeError,
        OverflowError,
        struct.error,
    ) as error:  # WebP, JPEG and AVIF have largest sizes
        raise UnreadableError(f"cannot write {image.width}x{image.height} pixels as {format}: {error}") from error
    return buffer.getvalue()


def _photo_from(file: ImageFile.ImageFile) -> Photo:
    jpeg_options: JpegOptions | None = None
    format = file.format or "PNG"
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        jpeg_options = {"qtables": file.quantization, "subsampling": JpegImagePlugin.get_sampling(file)}
        format = "JPEG"  # also of an MPO, which has further pictures behind the first, as many phones write
    icc = file.info.get("icc_profile")
    dpi = _resolution(file.info.get("dpi"))
    exif = file.getexif()  # before the pixels are turned: what Pillow turns may come without it
    xmp = file.info.get("xmp") or file.info.get(PNG_XMP)  # after it, as a PNG's may stand behind the pixels
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    image: Image.Image = file
    ImageOps.exif_transpose(image, in_place=True)  # a copy of the largest photo would take half a gigabyte
    for tag in (ORIENTATION_TAG, XMP_TAG, *BLOCK_TAGS, *LAYOUT_TAGS):
        exif.pop(tag, None)
    if image.mode == "CMYK":
        image, icc, jpeg_options = _from_cmyk(image, icc), None, None
    elif image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    has_alpha = image.has_transparency_data
    grey = image.mode in ("1", "L", "LA", "La")
    mode = "RGBA" if has_alpha else "RGB"
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))  # read-only: a copy takes time
    alpha = np.ascontiguousarray(pixels[..., 3]) if has_alpha else None
    return Photo(
        pixels=np.ascontiguousarray(pixels[..., :3]),
        alpha=alpha,
        grey=grey,
        icc=icc,
        exif=_exif_bytes(exif),
        xmp=_upright(xmp),
        dpi=dpi,
        jpeg_options=jpeg_options,
        format=format,
        animated=jpeg_options is None and getattr(file, "is_animated", False),
    )


def _resolution(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """None also where it is no pair of numbers that other formats can hold."""
    try:
        return dpi if dpi and all(0 < float(value) < 1e6 for value in dpi) else None
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _exif_bytes(exif: Image.Exif) -> bytes | None:
    """None also where a tag holds what its type does not allow: a photo is worth more than its EXIF."""
    try:
        return exif.tobytes() if len(exif) else None
    except (TypeError, ValueError, AttributeError, KeyError, struct.error, OverflowError):
        return None


def _upright(xmp: bytes | None) -> bytes | None:
    """The packet without its orientation, which has been applied."""
    return xmp and ORIENTATION.sub(b"", xmp)


def _tiff_tags(photo: Photo) -> Image.Exif:
    """What a TIFF keeps in its own tags: EXIF, and the XMP packet."""
    tags = Image.Exif()
    if photo.exif:
        tags.load(photo.exif)
    if photo.xmp:
        tags[XMP_TAG] = photo.xmp
    return tags


def _from_cmyk(image: Image.Image, icc: bytes | None) -> Image.Image:
    """To sRGB through the file's own profile; without one, Pillow's plain inversion."""
    if not icc:
        return image.convert("RGB")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB").apply(image)


def _eight_bits(image: Image.Image) -> Image.Image:
    samples = np.nan_to_num(np.array(image, np.float32), copy=False)
    if image.mode == "F":  # by custom floating-point samples lie in [0, 1]; some files hold 0 to 255
        samples *= 255.0 if samples.max(initial=0) <= 1 else 1.0
    else:
        samples /= 257
    return Image.fromarray(np.rint(samples, out=samples).clip(0, 255, out=samples).astype(np.uint8))


def _sentence(error: Exception) -> str:
    text = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return text[0] if text else type(error).__name__
