"""The points of a face that landmarks are: which of MediaPipe's Face Mesh, and where each stands among all K."""

# Numbers of MediaPipe's Face Mesh (Kartynnik et al. 2019), whose points these are. Left and right are the picture's.
UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # its inner edge, from corner to corner
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # the outer edge
UPPER_LIP_OUTSIDE, LOWER_LIP_OUTSIDE = (61, *LIPS[:10:-1], 291), LIPS[:11]  # its parts, from corner to corner
UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)
EYE_CORNERS = (33, 133, 362, 263)
IRISES = (468, 473)
BROWS = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 2, 98, 327, 129, 358)
CHEEKS = (50, 280, 205, 425, 117, 346, 187, 411, 206, 426, 216, 436, 212, 432)
OUTLINE = (234, 454, 127, 356, 93, 323, 58, 288, 172, 397, 150, 379, 152, 148, 377, 18, 200, 199, 175, 9, 151, 10)
NOSE_TIP = (4, 1)
TEMPLES = (127, 356, 234, 454)
# What no expression moves: eye corners, the nose's bridge, temples and forehead.
STILL = (*EYE_CORNERS, 168, 6, 197, *TEMPLES, 9, 151)
POINTS = tuple(
    dict.fromkeys(
        UPPER_LIP + LOWER_LIP + LIPS + UPPER_LIDS + LOWER_LIDS + EYE_CORNERS + IRISES + BROWS + NOSE + CHEEKS + OUTLINE
    )
)


def point_indices(numbers: tuple[int, ...]) -> list[int]:
    """The indices of these points among all K."""
    return [POINTS.index(number) for number in numbers]


# Points that are swapped in a mirrored picture; all others lie in the middle.
_LEFT: tuple[int, ...] = (
    *(78, 191, 80, 81, 82, 95, 88, 178, 87, 61, 146, 91, 181, 84, 185, 40, 39, 37),
    *(246, 161, 160, 159, 158, 157, 173, 7, 163, 144, 145, 153, 154, 155, 33, 133, 468),
    *(46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 98, 129),
    *(50, 205, 117, 187, 206, 216, 212, 234, 127, 93, 58, 172, 150, 148),
)
_RIGHT: tuple[int, ...] = (
    *(308, 415, 310, 311, 312, 324, 318, 402, 317, 291, 375, 321, 405, 314, 409, 270, 269, 267),
    *(466, 388, 387, 386, 385, 384, 398, 249, 390, 373, 374, 380, 381, 382, 263, 362, 473),
    *(276, 283, 282, 295, 285, 300, 293, 334, 296, 336, 327, 358),
    *(280, 425, 346, 411, 426, 436, 432, 454, 356, 323, 288, 397, 379, 377),
)
_TWIN_OF = dict(zip(_LEFT + _RIGHT, _RIGHT + _LEFT, strict=True))
# What is looked at from nearer: the mouth, and the picture's left eye with its brow.
MOUTH_REGION = tuple(dict.fromkeys(UPPER_LIP + LOWER_LIP + LIPS))
LEFT_EYE_REGION = (*UPPER_LIDS[:7], *LOWER_LIDS[:7], *EYE_CORNERS[:2], IRISES[0], *BROWS[:10])
TWINS = tuple(point_indices(tuple(_TWIN_OF.get(number, number) for number in POINTS)))
