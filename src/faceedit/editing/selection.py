"""Which faces of a photo are edited: the largest, all, or some by number, each with its own target or one for all."""

from typing import TYPE_CHECKING

from faceedit.editing.target import Request
from faceedit.errors import NoFaceError, UsageError, no_upright_face

if TYPE_CHECKING:  # what was asked can be refused before OpenCV is loaded
    from faceedit.faces.detector import Face

LARGEST, ALL = "largest", "all"


def parse_choices(
    choices: list[str],
    request: Request | None,
    intensity: float | None,
    strength: float,
    only: tuple[str, ...] = (),
) -> list[tuple[str, Request]]:
    """[(which, request)] for choices such as "largest", "all", "2" or "2=happy". Raises UsageError.

    request: for choices that name no emotion of their own; those that do take the intensity, strength and parts given.
    """
    parsed = []
    for choice in choices:
        which, equals, emotion = choice.partition("=")
        wanted = Request(emotion=emotion, intensity=intensity, strength=strength, only=only) if equals else request
        if wanted is None:
            raise UsageError(f"say where face {which} shall go: with valence and arousal, or an emotion")
        _number(which)
        parsed.append((which, wanted))
    return parsed


def choose_faces(faces: list["Face"], parsed: list[tuple[str, Request]]) -> list[tuple["Face", Request]]:
    """[(face, request)] of the faces that parsed choices name, in the order of the faces.

    A choice of one face goes before "all", whichever was given first; of two for one face, the later holds.
    faces: of the photo, the largest first. Raises NoFaceError.
    """
    chosen: dict[int, Request] = {}
    for which, wanted in sorted(parsed, key=lambda choice: choice[0] != ALL):
        for index in _indices(which, len(faces)):
            chosen[index] = wanted
    return [(faces[index], chosen[index]) for index in sorted(chosen)]


def is_largest(choice: str | int) -> bool:
    """Whether a choice names the largest face, for which no other needs to be found. Raises UsageError."""
    return _number(str(choice)) == 1


def select_faces(faces: list["Face"], choice: str | int) -> list["Face"]:
    """The faces that "largest", "all" or a number from 1 names. Raises NoFaceError, UsageError."""
    return [faces[index] for index in _indices(str(choice), len(faces))]


def _indices(which: str, count: int) -> range:
    number = _number(which)
    if not count:
        raise no_upright_face("the photo")
    if number is None:
        return range(count)
    if number > count:
        raise NoFaceError(f"there is no face {number}: the photo has {count}")
    return range(number - 1, number)


def _number(which: str) -> int | None:
    """The number of the face that a choice names, from 1; None for all."""
    if which == ALL:
        return None
    number = 1 if which == LARGEST else int(which) if which.isdecimal() else 0
    if number < 1:
        raise UsageError(f"face must be {LARGEST}, {ALL}, or a number from 1, not {which or 'nothing'}")
    return number
