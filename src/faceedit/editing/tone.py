"""Photos in one tone, black and white or sepia: what an edit adds to them takes it, or lips would be in colour."""

from dataclasses import dataclass

import numpy as np

from faceedit.models.folds import LUMINANCE

# How far the colours of aligned crops depart from one tone, root mean square, of 255: photos of one tone up to the
# first, as after JPEG; few others up to the second. Measured on 1,350 photos.
ONE, SEVERAL = 2.0, 3.5
CUT = 2.0  # of 255, which may be missing of one channel: less would turn the dark grey where one channel is faint
EVEN = 1.0  # variance of luminance, of 255 squared, below which there is none to follow


@dataclass(frozen=True)
class Tone:
    """What colours a photo has at a luminance: base + slope · luminance, (3,) each, of 255.

    share: how far it has no others, from 0 in a photo in colour to 1 in one of a single tone.
    """

    base: np.ndarray
    slope: np.ndarray
    share: float

    def take(self, colours: np.ndarray) -> np.ndarray:
        """Colours (..., 3) float32, of 255, as this photo has them."""
        if not self.share:
            return colours
        slope = np.maximum(self.slope, 1e-3)
        # That cut off little of any channel.
        darkest, brightest = ((-CUT - self.base) / slope).max(), ((255 + CUT - self.base) / slope).min()
        light = np.maximum(np.minimum(_luminance(colours), brightest), darkest)
        return self._towards(colours, self.base + self.slope * light)

    def added(self, residual: np.ndarray) -> np.ndarray:
        """The same for colours (..., 3) that are added to others, in any unit."""
        return self._towards(residual, self.slope * _luminance(residual)) if self.share else residual

    def _towards(self, colours: np.ndarray, toned: np.ndarray) -> np.ndarray:
        return (colours + np.float32(self.share) * (toned - colours)).astype(np.float32)


IN_COLOUR = Tone(np.zeros(3), np.ones(3), 0.0)


def tone_of(crop: np.ndarray) -> Tone:
    """The tone of an aligned crop (S, S, 3) uint8, by least squares."""
    colours = crop.reshape(-1, 3).astype(np.float64)
    luminance = _luminance(colours)
    variance = luminance.var()
    slope = ((luminance - luminance.mean()) * colours).mean(0) / max(variance, EVEN)
    base = colours.mean(0) - slope * luminance.mean()
    departure = np.sqrt(np.square(colours - base - slope * luminance).mean())
    share = float(np.clip((SEVERAL - departure) / (SEVERAL - ONE), 0, 1))
    return Tone(base, slope, share) if share and variance > EVEN else IN_COLOUR


def _luminance(colours: np.ndarray) -> np.ndarray:
    """(..., 1)."""
    return (colours @ np.asarray(LUMINANCE, colours.dtype))[..., None]
