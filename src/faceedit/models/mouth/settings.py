"""The numbers behind the sketches of mouths that were set by hand, and where each comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MouthSettings:
    """Lengths are shares of an aligned crop's side unless they say otherwise. What has no source is by eye."""

    # Where mouths are drawn: left, top, right, bottom. By eye: from below the nose to the chin.
    box: tuple[float, float, float, float] = (1 / 6, 13 / 24, 5 / 6, 23 / 24)

    # How lips move.
    # At its edge a lip moves as it does that much further away, 2.3 of 96 pixels: on 100 validation crops, 1.6 of the
    # 2.8 pixels were missing that an upper lip should move to close.
    slope: float = 0.024
    # The distance from a lip's edge over which the correction of its flow fades out. By eye.
    reach: float = 0.12
    # Times its thickness before, from where a lip is stretched evenly, and from where wholly so. By eye.
    thicker: tuple[float, float] = (1.1, 1.4)

    # What shows between lips.
    # Brightness, from 0 (dark) to 1 (teeth), above which the average of photos counts as teeth; what is added to it
    # near the lower lip, which is bright itself; and how steeply logits rise there. By eye.
    teeth: float = 0.52
    teeth_below: float = 0.14
    teeth_steepness: float = 12.0
    line: float = 0.85  # pixels, from the middle of the dark line of closed lips to its edge; by eye
    max_distance: float = 4.0  # pixels from the edge of a mouth beyond which distances are alike; by eye

    # Teeth.
    tall: float = 0.068  # how far teeth reach below the lip; by eye
    # Pixels of the dark above which no further teeth show below it, as the lower row would look grey; and by how much
    # logits fall for each pixel more. By eye.
    dark_edge: float = 1.0
    fading: float = 4.0

    # The dark, and the tongue in it.
    arch: float = 0.18  # how far to the side teeth lie in the dark; by eye
    arch_shade: float = 0.6  # how much darker they are there, down to the next; by eye
    darkest: float = 0.2
    lip_shade: float = 0.4  # how much darker the inside is right at the lips, and over how many pixels; by eye
    lip_shade_distance: float = 2.0
    tongue: float = 0.2  # how far to the side a tongue reaches; by eye
    tongue_top: float = 0.35  # of the mouth's height, where it begins; by eye
    tongue_edge: float = 0.5  # likewise, over how much it comes to be seen; by eye
    # Mouths open wider than the first show a tongue, from the second on all of it. By eye.
    tongue_opening: tuple[float, float] = (0.02, 0.05)
    dark: float = 0.25  # of the lips' light, what reaches the dark; by eye
    tongue_light: float = 0.55  # of the lips' light, how much more a tongue gets; by eye


MOUTH = MouthSettings()
