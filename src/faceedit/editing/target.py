"""Where on the circumplex a face shall go: a point, a way (relative), an emotion, a step, or another face's look."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faceedit.circumplex import MEANT, Affect, Target, emotion_from
from faceedit.editing.parts import check_parts
from faceedit.errors import UsageError

if TYPE_CHECKING:  # what was asked can be refused before OpenCV is loaded
    from faceedit.editing.like import Look


@dataclass(frozen=True)
class Request:
    """Where a face shall go: to a valence and arousal, by them when relative, to a named emotion, or by a step towards
    one ("happier"); with both, to that valence and arousal with the look of that emotion.

    Of valence and arousal, one that is not given stays where the face is. intensity: of the emotion, 0 (neutral) to 1,
    which is the default. strength: how much of the way from the face's own affect is gone; 0 leaves it, 1 arrives, more
    goes beyond, up to 2. only: the parts of the face to edit, of `parts.PARTS`; none for all of it. like: another
    face's look, instead of a point or an emotion. Raises UsageError for what makes no sense.
    """

    valence: float | None = None
    arousal: float | None = None
    emotion: str | None = None
    intensity: float | None = None
    relative: bool = False
    strength: float = 1.0
    only: tuple[str, ...] = ()
    like: "Look | None" = None

    def __post_init__(self) -> None:
        if self.like is not None and (self.relative or {self.valence, self.arousal, self.emotion} != {None}):
            raise UsageError("say where to go with another face or with a point or emotion, not with both")
        if self.emotion is not None and self.relative:
            raise UsageError("an emotion is a place, not a way: leave out relative")
        if self.emotion is None and self.intensity is not None:
            raise UsageError("intensity belongs to an emotion: leave it out, or name an emotion")
        if self.emotion is not None and self.intensity is not None and MEANT.get(self.emotion.lower()) == "neutral":
            raise UsageError("neutral has no intensity: say with strength how much of the way to go")
        check_parts(self.only)
        if not 0 <= self.strength <= 2:
            raise UsageError(f"strength must be a number between 0 and 2, not {self.strength:g}")
        self.target(Affect(0, 0))  # refuses the rest before any work

    def target(self, source: Affect) -> Affect:
        """Where a face goes that shows the source affect; a `Target` where an expression is meant."""
        goal: Affect
        if self.like is not None:
            goal = self.like.affect
        elif self.emotion is not None:
            named = emotion_from(source, self.emotion, 1.0 if self.intensity is None else self.intensity)
            goal = Target(
                named.valence if self.valence is None else self.valence,
                named.arousal if self.arousal is None else self.arousal,
                named.expressions,
            )
        elif self.valence is None and self.arousal is None:
            raise UsageError("say where to go: with valence, arousal or both, or with an emotion")
        elif self.relative:
            goal = source.moved(self.valence or 0, self.arousal or 0)
        else:
            goal = Affect(
                source.valence if self.valence is None else self.valence,
                source.arousal if self.arousal is None else self.arousal,
            )
        if self.strength == 1:
            return goal
        way = (goal.valence - source.valence, goal.arousal - source.arousal)
        there = source.moved(*(max(-2.0, min(2.0, self.strength * step)) for step in way))
        if not isinstance(goal, Target):
            return there
        return Target(*there.pair, tuple(min(self.strength, 1.0) * weight for weight in goal.expressions))
