"""A photo: its pixels, and what its file carried beside them, such as the colour profile."""

from dataclasses import dataclass, replace

import numpy as np

from faceedit.media import colour, deep
from faceedit.media.jpeg import JpegOptions
from faceedit.media.png import Chunk

BLOCK_ROWS = 256  # of a photo are flattened at a time, which bounds memory


@dataclass(frozen=True)
class Photo:
    """A photo and what its file carried beside the pixels.

    pixels: (H, W, 3) uint8 RGB, upright, in the photo's own values, whose meaning `icc` says. alpha: (H, W) uint8 or
    None. grey: the file had no colour. icc, exif, xmp: as stored in a file, or None; the orientation in EXIF has been
    applied. photoshop: Photoshop's resources, with IPTC. comments: of a JPEG. texts: chunks of a PNG. dpi: pixels an
    inch. deep: the file's own samples (H, W, 1 to 4) uint16, in step with `pixels`. jpeg_options: those of a JPEG, so
    that writing it again loses least. format: Pillow's name of the file's. animated: the file holds further pictures,
    of which this is the first. lost: names of what the file held and an edited one does not. name: the file's.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()
    texts: tuple[Chunk, ...] = ()
    dpi: tuple[float, float] | None = None
    deep: np.ndarray | None = None
    jpeg_options: JpegOptions | None = None
    format: str = "PNG"
    animated: bool = False
    lost: tuple[str, ...] = ()
    name: str = "the photo"

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """The same photo with other pixels (H, W, 3) uint8; samples of 16 bits change by as much as these do."""
        samples = self.deep
        if samples is not None:
            fits = pixels.shape == self.pixels.shape
            samples = deep.moved(samples, self.pixels, pixels) if fits else None
        return replace(self, pixels=pixels, deep=samples)

    @property
    def colour_profile(self) -> bytes | None:
        """The ICC profile for a picture in colour that is drawn from this one; a grey photo's is for grey."""
        return None if self.grey else self.icc

    def with_profile(self) -> "Photo":
        """The same photo with a profile for what its EXIF alone says of its colours, as where that is to go."""
        icc = self.icc or (None if self.grey else colour.profile_of_exif(self.exif))
        return replace(self, icc=icc) if icc else self

    def flattened(self) -> "Photo":
        """The same photo on white, without transparency: what is hidden does not show."""
        if self.alpha is None:
            return self
        pixels = self.pixels.copy()
        for start in range(0, len(pixels), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            opacity = self.alpha[rows, :, None].astype(np.float32) / 255
            pixels[rows] = np.rint(pixels[rows] * opacity + 255 * (1 - opacity)).astype(np.uint8)
        samples = None if self.deep is None else deep.flattened(self.deep)
        return replace(self, pixels=pixels, alpha=None, deep=samples)

    def in_colour(self) -> "Photo":
        """The same photo as one in colour: a grey one whose profile is for grey comes in sRGB."""
        if not self.grey:
            return self
        if colour.space(self.icc) == "RGB":
            return replace(self, grey=False, deep=None, jpeg_options=None)
        pixels = colour.to_srgb(self.pixels, self.icc, grey=True)
        return replace(self, pixels=pixels, grey=False, icc=None, deep=None, jpeg_options=None)

    def drawable(self) -> "Photo":
        """The photo for pictures that are drawn from it: in colour, and nothing hidden in it."""
        return self.flattened().in_colour().with_profile()

    def without_metadata(self) -> "Photo":
        """The same photo with nothing but what its look depends on: no EXIF (camera, place, time), XMP, IPTC, texts."""
        return replace(self.with_profile(), exif=None, xmp=None, photoshop=None, comments=(), texts=())
