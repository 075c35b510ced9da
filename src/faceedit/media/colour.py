"""Colour profiles of photos: made from what a file says in other ways, and converted from.

The edit works in the photo's own values; `Photo.icc` keeps the profile that says what they mean. A file may instead use
code points (CICP, ITU-T H.273), or, as a PNG, gAMA and cHRM: a profile is made from these, which every format but BMP
can hold. What EXIF alone says is kept with it, and made a profile where EXIF goes.
"""

import io
import logging
import struct

import numpy as np
from PIL import ExifTags, Image, ImageCms

from faceedit.errors import UnreadableError

logger = logging.getLogger(__name__)
Curve = tuple[float, ...]  # as ICC.1:2022, 10.18: (g,) or (g, a, b, c, d)

SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT709_CURVE: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
# H.273, table 3: transfer characteristics that a parametric curve says.
CURVES: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 11, 14, 15), BT709_CURVE),
    4: (2.2,),
    5: (2.8,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4.0, 0.0912),
    8: (1.0,),
    13: SRGB_CURVE,
    17: (2.6,),
}
HDR = {16: "PQ", 18: "HLG"}
SRGB_TRANSFER, UNSPECIFIED = 13, 2
D65, C_WHITE = (0.3127, 0.329), (0.31, 0.316)
# H.273, table 2: x and y of red, green, blue and white.
PRIMARIES: dict[int, tuple[float, ...]] = {
    1: (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, *D65),
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *C_WHITE),
    5: (0.64, 0.33, 0.29, 0.6, 0.15, 0.06, *D65),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *C_WHITE),
    9: (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, *D65),
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65),
    22: (0.63, 0.34, 0.295, 0.605, 0.155, 0.077, *D65),
}
SRGB_PRIMARIES = PRIMARIES[1]
ADOBE_RGB, ADOBE_RGB_CURVE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65), (563 / 256,)
ADOBE_RGB_INDEX, SRGB_IN_EXIF = b"R03", 1
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])
SAME_GAMMA, SAME_PRIMARY = 0.02, 0.002  # nearer than this to sRGB, no profile is needed: by eye
MAX_LIGHT = 16.0  # how far beyond white, 1, the lights of a picture in floating point may go: by eye
BLOCK_ROWS = 512  # of a photo are converted at a time, which bounds memory


def profile_of_code_points(primaries: int, transfer: int, grey: bool = False) -> bytes | None:
    """An ICC profile for these code points, or None for sRGB. Raises UnreadableError for HDR."""
    if transfer in HDR:
        raise UnreadableError(
            f"it is an HDR photo (transfer curve {HDR[transfer]}), which is not edited: save it in standard range first"
        )
    known = PRIMARIES.get(primaries, SRGB_PRIMARIES), CURVES.get(transfer, SRGB_CURVE)
    return None if known == (SRGB_PRIMARIES, SRGB_CURVE) else built_profile(*known, grey)


def profile_of_gamma(gamma: float | None, chromaticity: tuple[float, ...] | None, grey: bool = False) -> bytes | None:
    """An ICC profile for what a PNG's gAMA (as a fraction) and cHRM (white, red, green, blue) say; None for sRGB."""
    curve: Curve = SRGB_CURVE
    if gamma and 0.05 < gamma < 20 and abs(1 / gamma - 2.2) > SAME_GAMMA:
        curve = (1 / gamma,)
    primaries = SRGB_PRIMARIES
    if chromaticity and len(chromaticity) == 8 and min(chromaticity[1::2]) > 0:
        given = (*chromaticity[2:], *chromaticity[:2])
        if max(abs(a - b) for a, b in zip(given, primaries, strict=True)) > SAME_PRIMARY:
            primaries = given
    if (curve, primaries) == (SRGB_CURVE, SRGB_PRIMARIES):
        return None
    try:
        return built_profile(primaries, curve, grey)
    except (np.linalg.LinAlgError, struct.error, ValueError, OverflowError):  # colours that span nothing
        return None


def profile_of_exif(block: bytes | None) -> bytes | None:
    """The ICC profile of Adobe RGB (1998) where EXIF says that values are of it (DCF 2.0, 3.2.3), else None."""
    if not block or ADOBE_RGB_INDEX not in block:
        return None
    tags = Image.Exif()
    try:
        tags.load(block)
        says = tags.get_ifd(ExifTags.IFD.Interop).get(1), tags.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    except Exception:  # the parser raises whatever it meets
        return None
    is_adobe = str(says[0]).startswith(ADOBE_RGB_INDEX.decode()) and says[1] != SRGB_IN_EXIF
    return built_profile(ADOBE_RGB, ADOBE_RGB_CURVE) if is_adobe else None


def profile_of_bmp(data: bytes) -> bytes | None:
    """The ICC profile embedded in a BMP of version 5, or None."""
    if data[14:18] != struct.pack("<I", 124) or data[70:74] != b"DEBM":  # which reads "MBED"
        return None
    place, length = struct.unpack_from("<II", data, 126)
    return data[14 + place : 14 + place + length] or None


def built_profile(primaries: tuple[float, ...], curve: Curve, grey: bool = False) -> bytes:
    """An ICC profile (version 4.3) of a display with these primaries (x, y of red, green, blue, white) and curve."""
    xy = np.array(primaries, float).reshape(4, 2)
    xyz = np.column_stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
    adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ xyz[3])) @ BRADFORD
    columns = adapt @ (xyz[:3].T * np.linalg.solve(xyz[:3].T, xyz[3]))
    kind = {1: 0, 5: 3}[len(curve)]
    trc = b"para" + struct.pack(">IHH", 0, kind, 0) + _fixed(curve)
    tags = {
        b"desc": _text("faceedit: " + ("grey" if grey else "RGB") + " as the photo's file says"),
        b"cprt": _text("Public domain"),
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(adapt.ravel()),
    }
    if grey:
        tags[b"kTRC"] = trc
    else:
        for letter, column in zip(b"rgb", columns.T, strict=True):
            tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(column)
            tags[bytes([letter]) + b"TRC"] = trc
    return _profile(tags, b"GRAY" if grey else b"RGB ")


def space(icc: bytes | None) -> str:
    """The colour space of the values that a profile is for, such as "RGB" or "GRAY"; "" where it cannot be used."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip() if icc else ""
    except (OSError, TypeError, ValueError):
        return ""


def to_srgb(pixels: np.ndarray, icc: bytes | None, grey: bool = False) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of this profile, in sRGB; as they are where it cannot be used for them."""
    found = space(icc)
    if found != "RGB" and not (grey and found == "GRAY"):
        return pixels
    mode = "L" if found == "GRAY" else "RGB"
    try:
        transform = _transform(icc, mode)
    except ImageCms.PyCMSError:
        return pixels
    converted = np.empty_like(pixels)
    for start in range(0, len(pixels), BLOCK_ROWS):
        rows = pixels[start : start + BLOCK_ROWS]
        image = Image.fromarray(np.ascontiguousarray(rows[..., 0] if mode == "L" else rows))
        converted[start : start + BLOCK_ROWS] = np.asarray(transform.apply(image))
    return converted


def plain_rgb(image: Image.Image, icc: bytes | None, name: str) -> Image.Image:
    """A picture in CMYK or Lab, in sRGB: by its own profile, without one as Pillow inverts it."""
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return ImageCms.buildTransform(lab, ImageCms.createProfile("sRGB"), "LAB", "RGB").apply(image)
    if icc and space(icc) == image.mode:
        try:
            return _transform(icc, image.mode).apply(image)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    if icc:
        logger.warning("%s: its colour profile cannot be used: its colours are converted without it", name)
    return image.convert("RGB")


def eight_bits(image: Image.Image, bits: int = 16, signed: bool = False, negative: bool = False) -> Image.Image:
    """A grey picture of more bits, whole numbers or floating point, in 8 bits. negative: white is its zero."""
    whole = np.asarray(image)
    if bits == 32 and not signed and whole.dtype == np.int32:
        whole = whole.view(np.uint32)
    elif bits == 8 and signed:
        whole = whole.view(np.int8)
    samples = np.nan_to_num(whole.astype(np.float32), copy=False)
    if image.mode == "F":  # by custom floating-point samples lie in [0, 1]; some files hold 0 to 255
        samples *= 255.0 if samples.max(initial=0) <= MAX_LIGHT else 1.0
    else:
        samples *= 255 / (2 ** (bits - signed) - 1)
    values = np.rint(samples, out=samples).clip(0, 255, out=samples).astype(np.uint8)
    return Image.fromarray(255 - values if negative else values)


def _transform(icc: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")


def _fixed(values: "np.ndarray | Curve") -> bytes:
    """Numbers as ICC's s15Fixed16."""
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(encoded), 28) + encoded


def _profile(tags: dict[bytes, bytes], colours: bytes) -> bytes:
    """An ICC profile of a display (ICC.1:2022, 7) with these tags."""
    body, table, place = bytearray(), bytearray(struct.pack(">I", len(tags))), 132 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x04300000, b"mntr", colours, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(D50)
    return head.ljust(128, b"\0") + bytes(table) + bytes(body)
