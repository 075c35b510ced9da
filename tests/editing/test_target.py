import itertools
import math
import re

import numpy as np
import pytest

from faceedit.circumplex import EMOTIONS, SYNONYMS, Affect, Target, emotion_name, named_emotion
from faceedit.editing.target import Request
from faceedit.errors import UsageError

SOURCE = Affect(0.2, -0.1)


def test_a_point_an_emotion_and_a_way():
    assert Request(0.5, -0.3).target(SOURCE) == Affect(0.5, -0.3)
    assert Request(emotion="happy").target(SOURCE) == named_emotion("happy")
    assert Request(0.3, 0.1, relative=True).target(SOURCE) == Affect(0.5, 0.0)


def test_what_is_not_given_stays_where_the_face_is():
    assert Request(valence=0.5).target(SOURCE) == Affect(0.5, -0.1)
    assert Request(arousal=0.5).target(SOURCE) == Affect(0.2, 0.5)
    assert Request(arousal=0.5, relative=True).target(SOURCE) == Affect(0.2, 0.4)


def test_strength_scales_the_way_from_the_source():
    assert Request(0.6, -0.1, strength=0.5).target(SOURCE) == Affect(0.4, -0.1)
    assert Request(0.6, -0.1, strength=0).target(SOURCE) == SOURCE
    assert Request(0.6, -0.1, strength=2).target(SOURCE) == Affect(1.0, -0.1)


def test_intensity_goes_from_neutral_to_the_emotion():
    neutral, angry = EMOTIONS["neutral"], EMOTIONS["angry"]
    assert named_emotion("angry", 0).pair == neutral.pair
    assert named_emotion("angry", 1).valence == pytest.approx(angry.valence)
    half = named_emotion("angry", 0.5)
    assert half.arousal == pytest.approx((neutral.arousal + angry.arousal) / 2)


@pytest.mark.parametrize("name", ["Anger", "ANGRY", " angry ", "annoyance"])
def test_a_name_may_be_a_noun_and_in_any_case(name):
    assert Request(emotion=name).target(SOURCE) == Request(emotion="angry").target(SOURCE)


@pytest.mark.parametrize(
    ("typed", "hint"), [("hapy", "did you mean happy?"), ("hapier", "happier"), ("xyz", "choose one of neutral, happy")]
)
def test_a_mistyped_name_suggests_the_nearest(typed, hint):
    with pytest.raises(UsageError, match=re.escape(hint)):
        Request(emotion=typed)


@pytest.mark.parametrize("source", [Affect(0.2, -0.1), Affect(0.9, 0.3), Affect(-0.8, 0.5)])
def test_more_of_an_emotion_starts_where_the_face_is(source):
    goal, less = (Request(emotion="happier", intensity=share).target(source) for share in (1, 0.5))
    assert source.valence < less.valence < goal.valence or goal.valence == 1
    assert Request(emotion="more sad").target(source) == Request(emotion="sadder").target(source)
    assert Request(emotion="sadder").target(source).valence < source.valence
    assert abs(Request(emotion="calmer").target(Affect(0, 0)).arousal + 0.25) < 0.05


def test_happy_makes_no_face_less_happy():
    beaming = Affect(0.95, 0.3)
    assert Request(emotion="happy").target(beaming).valence == pytest.approx(beaming.valence, abs=0.05)
    assert Request(emotion="happy").target(Affect(0.5, 0)).pair == EMOTIONS["happy"].pair
    assert Request(emotion="happy", intensity=0.5).target(beaming).valence < 0.5  # who asks for less gets less
    assert Request(emotion="neutral").target(beaming).pair == EMOTIONS["neutral"].pair


def test_a_name_means_a_place_and_an_expression_and_numbers_another_place():
    source = Affect(0.2, 0.1)
    afraid = Request(emotion="fear").target(source)
    assert afraid == Target.of_row(np.array([*EMOTIONS["afraid"].pair, 0, 0, 0, 0, 1, 0, 0, 0]))
    assert Request(-0.3, 0.4, emotion="afraid").target(source) == Target(-0.3, 0.4, afraid.expressions)
    assert Request(arousal=0.4, emotion="afraid").target(source).pair == (EMOTIONS["afraid"].valence, 0.4)
    assert Request(emotion="afraid", intensity=0.5).target(source).expressions[4] == 0.5
    assert Request(emotion="afraid", strength=0.5).target(source).expressions[4] == 0.5
    assert Request(emotion="more afraid").target(source).expressions == afraid.expressions
    assert not Request(emotion="calm").target(source).row[2:].any()
    assert not Request(0.5, 0.1).target(source).row[2:].any()


def test_no_two_names_lie_where_faces_look_alike():
    places = [place.pair for place in EMOTIONS.values()]
    apart = min(math.dist(a, b) for a, b in itertools.combinations(places, 2))
    assert apart > 0.07  # contempt and anger, fear and surprise are the nearest
    assert [str(EMOTIONS[name]) for name in ("happy", "angry", "surprised")] == [
        "valence +0.67, arousal +0.08",
        "valence -0.43, arousal +0.55",
        "valence +0.18, arousal +0.70",
    ]
    assert all(emotion_name(other) == name for name, others in SYNONYMS.items() for other in (name, *others))
    assert SYNONYMS.keys() == EMOTIONS.keys()


def test_emotions_lie_where_their_names_say():
    assert EMOTIONS["excited"].valence > 0.3
    assert EMOTIONS["excited"].arousal > 0.3
    assert EMOTIONS["calm"].valence > 0.3
    assert EMOTIONS["calm"].arousal < -0.3
    assert EMOTIONS["tired"].arousal < -0.6
    assert EMOTIONS["sad"].valence < -0.5


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"emotion": "hungry"},
        {"emotion": "sad", "intensity": 1.2},
        {"valence": 0.5, "arousal": 0, "intensity": 0.5},
        {"emotion": "Neutral", "intensity": 0.5},
        {"emotion": "sad", "relative": True},
        {"valence": 2, "arousal": 0},
        {"valence": 3, "arousal": 0, "relative": True},
        {"valence": float("nan"), "arousal": 0},
        {"emotion": "sad", "strength": float("nan")},
        {"emotion": "sad", "strength": -1},
    ],
)
def test_what_makes_no_sense_is_refused(wanted):
    with pytest.raises(UsageError):
        Request(**wanted)
