"""The formats of photos: which are read, which are written and how, and which are refused."""

import struct
from pathlib import Path

import pillow_heif

from faceedit.errors import UnreadableError, UsageError
from faceedit.media import exif

pillow_heif.register_heif_opener(thumbnails=False)
MAX_PIXELS = 150_000_000
MAX_SIDE = 32_000  # what OpenCV warps
MAX_BYTES = 2**31
READ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF")
WRITE_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
}
SAVE_OPTIONS: dict[str, dict[str, int | str]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "HEIF": {"quality": 90, "chroma": "444"},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "PNG": {"compress_level": 4},  # nearly as small as with Pillow's 6, in two fifths of the time
}
# What each format has a place for: fields of a Photo. What is not here is left out, which is said.
KEEPS: dict[str, set[str]] = {
    "JPEG": {"exif", "xmp", "icc", "dpi", "photoshop", "comments"},
    "PNG": {"exif", "xmp", "icc", "dpi", "comments", "texts", "alpha", "deep"},
    "WEBP": {"exif", "xmp", "icc", "alpha"},
    "TIFF": {"exif", "xmp", "icc", "dpi", "photoshop", "alpha", "deep"},
    "BMP": {"dpi"},
    "AVIF": {"exif", "xmp", "icc", "alpha"},
    "HEIF": {"exif", "xmp", "icc", "alpha"},
}
# How a camera's raw files begin, where they are no TIFF: of Fujifilm, Olympus, Panasonic, Minolta, Sigma, and Canon's
# CR3.
RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM", b"FOVb", b"ftypcrx ")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNREAD_TIFF = "it is a TIFF of a kind that is not read: save it with 8 or 16 bits a sample, in grey or RGB"
UNREAD = dict.fromkeys(TIFF_STARTS, UNREAD_TIFF) | {  # by how they begin
    b"MM\0+": "it is a BigTIFF with the high byte first, which is not read: save it as a plain TIFF"
}
DNG_VERSION, SUBFILE, OLD_SUBFILE, PHOTOMETRIC, COMPRESSION = 50706, 254, 255, 262, 259
RAW_PHOTOMETRICS = (32803, 34892)  # a mosaic of colours, and what is linear of one
RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65000, 65535)  # of Sony, Samsung, Nikon, Kodak and Pentax
SMALLER, MASK = 1, 4  # bits of what a page of a TIFF is


def format_of(path: str | Path) -> str:
    """Pillow's name of the format that a file name ends in. Raises UsageError for one that is not written."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITE_FORMATS:
        raise UsageError(f"cannot tell the format of {path}: its name must end in {', '.join(WRITE_FORMATS)}")
    return WRITE_FORMATS[suffix]


def refuse_others(data: bytes) -> None:
    """Raise UnreadableError for a camera's raw file, of which only a thumbnail would be edited, or a TIFF of pages."""
    raw = UnreadableError("it is a camera's raw file, which is not edited: develop it into a TIFF or JPEG first")
    if data.startswith(RAW_STARTS) or data[4:].startswith(RAW_STARTS[-1]):
        raise raw
    if not data.startswith(TIFF_STARTS):
        return
    try:
        folders, inner = exif.tiff_folders(data)
    except (struct.error, ValueError):
        return  # what reads the pixels says what is wrong
    first = folders[0] if folders else {}
    if data[8:10] == b"CR" or DNG_VERSION in first or first.get(SUBFILE, 0) & SMALLER:
        raise raw
    if any(
        folder.get(PHOTOMETRIC) in RAW_PHOTOMETRICS or folder.get(COMPRESSION) in RAW_COMPRESSIONS
        for folder in (*folders, *inner)
    ):
        raise raw
    pages = [page for page in folders if not page.get(SUBFILE, 0) & (SMALLER | MASK) and page.get(OLD_SUBFILE) != 2]
    if len(pages) > 1 and exif.THUMBNAIL_PLACE not in pages[1]:
        raise UnreadableError(
            f"it is a TIFF of {len(pages)} pages, which is not edited: save the page to edit by itself"
        )
