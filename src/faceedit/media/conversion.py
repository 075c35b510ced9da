"""Photos from paths, PIL images and arrays, as programs in Python have them, and PIL images from photos."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from faceedit.errors import UsageError
from faceedit.media import deep
from faceedit.media.exif import PREFIX
from faceedit.media.image import Photo, read_photo

PNG_MODES = ("1", "L", "LA", "I;16", "I", "RGB", "RGBA")
PNG_XMP = "XML:com.adobe.xmp"
ImageLike = str | Path | Image.Image | np.ndarray


def as_photo(image: ImageLike | Photo) -> Photo:
    """The photo in a file, in a PIL image with what that carries, or in an array.

    image: an array is (H, W), (H, W, 1) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB or (H, W, 4) RGB with alpha,
    uint8, or uint16, which an edited PNG or TIFF keeps. Raises UnreadableError for files, UsageError for other arrays.
    """
    if isinstance(image, Photo):
        return image
    if isinstance(image, str | Path):
        return read_photo(image)
    return _from_array(image) if isinstance(image, np.ndarray) else _from_pil(image)


def to_pil(photo: Photo) -> Image.Image:
    """The photo as PIL has it, of mode L, LA, RGB or RGBA, with colour profile, EXIF and XMP among its info."""
    image = Image.fromarray(photo.pixels)
    if photo.grey:
        image = image.convert("L")
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    carried = {
        "icc_profile": photo.icc,
        "exif": photo.exif and PREFIX + photo.exif.removeprefix(PREFIX),
        "xmp": photo.xmp,
        "dpi": photo.dpi,
    }
    image.info |= {name: value for name, value in carried.items() if value}
    return image


def _from_array(image: np.ndarray) -> Photo:
    samples = image[..., None] if image.ndim == 2 else image
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4 or samples.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"an image must be (H, W) or (H, W, 1 to 4), uint8 or uint16, not {image.shape} {image.dtype}")
    if 0 in samples.shape:
        raise UsageError(f"an image must have pixels, not {image.shape}")
    grey = samples.shape[2] < 3
    if samples.dtype == np.uint16:
        samples = np.ascontiguousarray(samples)
        pixels, alpha = deep.eight_bits_of(samples)
        return Photo(pixels, alpha, grey, deep=samples)
    pixels = samples[..., :1].repeat(3, 2) if grey else samples[..., :3]
    alpha = np.ascontiguousarray(samples[..., -1]) if samples.shape[2] in (2, 4) else None
    return Photo(np.ascontiguousarray(pixels), alpha, grey)


def _from_pil(image: Image.Image) -> Photo:
    """Through a file in memory, so that every mode and what the image carries is read as from a photo's own file."""
    if image.mode == "La":  # from which PIL converts to nothing else
        image = image.convert("LA")
    if image.mode not in (*PNG_MODES, "CMYK", "F") or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    info = {str(name): value for name, value in image.info.items()}
    carried = {name: info[name] for name in ("icc_profile", "dpi") if info.get(name)}
    buffer = io.BytesIO()
    if image.mode in PNG_MODES:
        chunks = PngImagePlugin.PngInfo()
        xmp = info.get("xmp") or info.get(PNG_XMP)
        if xmp:
            chunks.add_itxt(PNG_XMP, xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp)
        image.save(buffer, "PNG", compress_level=0, exif=image.getexif(), pnginfo=chunks, **carried)
    else:
        image.save(buffer, "TIFF", **carried)
    return read_photo(buffer.getvalue())
