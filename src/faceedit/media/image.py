"""Reading and writing photos: the only place where image files become arrays and arrays become image files.

Arrays are HWC uint8 RGB, upright.
"""

import io
import logging
import re
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin

from faceedit.errors import UnreadableError, UsageError
from faceedit.files import write_atomically

logger = logging.getLogger(__name__)
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
EXIF_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop)
# What a photo is worth more than, in the order in which it is given up, and its names.
OPTIONAL = {
    "jpeg_options": "its own JPEG tables",
    "dpi": "its resolution",
    "exif": "its EXIF",
    "icc": "its colour profile",
    "xmp": "its XMP",
}
EXTRAS = ("jpeg_options", "dpi", "exif", "icc")  # all but what says that the photo was edited
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
    except Image.DecompressionBombError as error:  # Pillow's own limit, beyond ours
        raise UnreadableError(f"{name} has more than the {MAX_PIXELS // 1_000_000} megapixels that are read") from error
    except Exception as error:  # the decoders raise whatever they meet; to the user it is one thing
        reason = "it is not a photo in a format that is read" if "cannot identify" in str(error) else _sentence(error)
        raise UnreadableError(f"cannot read {name}: {reason}") from error


def write_photo(path: str | Path, photo: Photo, overwrite: bool = True) -> None:
    """Write a photo, whole or not at all, in the format that the name of `path` says.

    Raises UsageError for an unknown ending, ExistsError for a file that is there and not to be overwritten,
    UnreadableError when it cannot be written.
    """
    write_atomically(path, encode_photo(photo, format_of(path)), overwrite=overwrite)


def format_of(path: str | Path) -> str:
    """Pillow's name of the format that a file name ends in. Raises UsageError for one that is not written."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITE_FORMATS:
        raise UsageError(f"cannot tell the format of {path}: its name must end in {', '.join(WRITE_FORMATS)}")
    return WRITE_FORMATS[suffix]


def encode_photo(photo: Photo, format: str) -> bytes:
    """The bytes of a file of this format (Pillow's name) with the photo and what it carried.

    The headers and metadata are parsed again; what cannot be written so that it is read back is left out, which is
    logged as a warning. Raises UnreadableError.
    """
    problem: Exception | None = None
    for without in ((), *((name,) for name in OPTIONAL if getattr(photo, name)), EXTRAS):
        try:
            nothing: dict[str, Any] = dict.fromkeys(without)
            kept = replace(photo, **nothing)
            data = _encoded(kept, format)
            _check_readable(data, kept, format)
        except MemoryError:
            raise
        except Exception as error:  # what Pillow raises depends on what the photo carries
            problem = problem or error
            continue
        if without:
            names = " and ".join(OPTIONAL[name] for name in without if getattr(photo, name))
            logger.warning("the photo cannot be written as %s with %s, which is left out", format, names)
        return data
    height, width = photo.pixels.shape[:2]
    reason = _sentence(problem) if problem else "it does not say why"
    raise UnreadableError(f"cannot write {width}x{height} pixels as {format}: {reason}") from problem


def _encoded(photo: Photo, format: str) -> bytes:
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
    # Between the parts of a TIFF, libtiff leaves what lay in memory, or in a new file zeros.
    with tempfile.TemporaryFile() if format == "TIFF" else io.BytesIO() as file:
        image.save(file, format, **options)
        file.seek(0)
        return file.read()


def _check_readable(data: bytes, photo: Photo, format: str) -> None:
    """Raise where the file's headers and metadata do not say again what was written; the pixels are not decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=[format]) as file:
            if file.size != photo.pixels.shape[1::-1]:
                raise ValueError(f"its size would be read as {file.size}")
            if format != "BMP" and file.info.get("icc_profile") != (photo.icc or None):
                raise ValueError("its colour profile would be read as another")
            exif = file.getexif()
            if "exif" in file.info:  # of a JPEG, opening it has read what it could
                exif = Image.Exif()
                exif.load(file.info["exif"])
            _check_exif(exif)


def _check_exif(exif: Image.Exif) -> None:
    """Raise where a tag, or a folder of tags, cannot be read."""
    dict(exif)
    for folder in EXIF_FOLDERS:
        if folder in exif:
            exif.get_ifd(folder)


def _photo_from(file: ImageFile.ImageFile) -> Photo:
    jpeg_options: JpegOptions | None = None
    format = file.format or "PNG"
    if isinstance(file, JpegImagePlugin.JpegImageFile):
        jpeg_options = {"qtables": file.quantization, "subsampling": JpegImagePlugin.get_sampling(file)}
        format = "JPEG"  # also of an MPO, which has further pictures behind the first, as many phones write
    _drop_unusable(file)
    icc = file.info.get("icc_profile")
    dpi = _resolution(file.info.get("dpi"))
    exif = file.getexif()  # before the pixels are turned: what Pillow turns may come without it
    xmp = file.info.get("xmp") or file.info.get(PNG_XMP)  # after it, as a PNG's may stand behind the pixels
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    image: Image.Image = file
    ImageOps.exif_transpose(image, in_place=True)  # a copy of the largest photo would take half a gigabyte
    for tag in (ORIENTATION_TAG, XMP_TAG, *BLOCK_TAGS, *LAYOUT_TAGS):
        if tag in exif:
            del exif[tag]  # where `pop` would parse it
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


def _drop_unusable(file: ImageFile.ImageFile) -> None:
    """Take out of an open file the metadata that would keep Pillow from its pixels: a photo is worth more."""
    for key, kinds in (("icc_profile", bytes), ("xmp", bytes), (PNG_XMP, str)):
        value = file.info.get(key)
        if isinstance(value, str) and kinds is bytes:  # a TIFF's tag may have the type of a text
            file.info[key] = value.encode("utf-8", "replace")
        elif not isinstance(value, kinds):
            file.info.pop(key, None)
    try:
        exif = file.getexif()
    except Exception:  # the parser raises whatever it meets
        exif = file.getexif()  # as far as it came
    for folder in EXIF_FOLDERS:
        try:
            if folder in exif:
                exif.get_ifd(folder)
        except Exception:
            del exif[folder]


def _exif_bytes(exif: Image.Exif) -> bytes | None:
    """None also where it cannot be written so that it is read again: a photo is worth more than its EXIF."""
    exif.bigtiff = False  # which only a TIFF can be
    try:
        if not len(exif):
            return None
        data = exif.tobytes()
        again = Image.Exif()
        again.load(data)
        _check_exif(again)
    except MemoryError:
        raise
    except Exception:
        return None
    return data


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
    """To sRGB through the file's own profile; without one that is for CMYK, Pillow's plain inversion."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB").apply(image)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            logger.warning("the photo's colour profile cannot be used: its colours are converted without it")
    return image.convert("RGB")


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
