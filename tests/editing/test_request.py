import pytest

from faceedit.circumplex import EMOTIONS, Affect, named_emotion
from faceedit.editing.request import Request, choose_faces, parse_choices, select_faces
from faceedit.errors import NoFaceError, UsageError

SOURCE = Affect(0.2, -0.1)
FACES = ["large", "middle", "small"]


def test_a_point_an_emotion_and_a_way():
    assert Request(0.5, -0.3).target(SOURCE) == Affect(0.5, -0.3)
    assert Request(emotion="happy").target(SOURCE) == EMOTIONS["happy"]
    assert Request(0.3, 0.1, relative=True).target(SOURCE) == Affect(0.5, 0.0)


def test_strength_scales_the_way_from_the_source():
    assert Request(0.6, -0.1, strength=0.5).target(SOURCE) == Affect(0.4, -0.1)
    assert Request(0.6, -0.1, strength=0).target(SOURCE) == SOURCE
    assert Request(0.6, -0.1, strength=2).target(SOURCE) == Affect(1.0, -0.1)


def test_intensity_goes_from_neutral_to_the_emotion():
    neutral, angry = EMOTIONS["neutral"], EMOTIONS["angry"]
    assert named_emotion("angry", 0) == neutral
    assert named_emotion("angry", 1).valence == pytest.approx(angry.valence)
    half = named_emotion("angry", 0.5)
    assert half.arousal == pytest.approx((neutral.arousal + angry.arousal) / 2)


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
        {"valence": 0.5},
        {"valence": 0.5, "arousal": 0, "emotion": "sad"},
        {"valence": 0.5, "emotion": "sad"},
        {"emotion": "hungry"},
        {"emotion": "sad", "intensity": 1.2},
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


def test_each_face_can_have_its_own_emotion():
    request = Request(0.1, 0.2, strength=0.5)
    chosen = choose_faces(FACES, parse_choices(["all", "2=sad"], request, 0.4, 0.5))
    assert chosen == choose_faces(FACES, parse_choices(["2=sad", "all"], request, 0.4, 0.5))
    assert [face for face, _ in chosen] == FACES
    assert [wanted.emotion for _, wanted in chosen] == [None, "sad", None]
    assert chosen[1][1] == Request(emotion="sad", intensity=0.4, strength=0.5)
    assert choose_faces(FACES, parse_choices(["3=happy", "1=sad"], None, 1, 1)) == [
        ("large", Request(emotion="sad")),
        ("small", Request(emotion="happy")),
    ]
    for choices, sentence in (
        (["1=sad", "2"], "where face 2 shall go"),
        (["1="], "no emotion"),
        (["x=sad"], "face must"),
    ):
        with pytest.raises(UsageError, match=sentence):
            parse_choices(choices, None, 1, 1)


def test_faces_are_chosen_by_name_or_number():
    assert select_faces(FACES, "largest") == ["large"]
    assert select_faces(FACES, 2) == ["middle"]
    assert select_faces(FACES, "all") == FACES
    for choice in ("0", "-1", "smallest", "1.5", "", "2=sad"):
        with pytest.raises(UsageError, match="face must be"):
            select_faces(FACES, choice)
    with pytest.raises(NoFaceError, match="no face 4: the photo has 3"):
        select_faces(FACES, 4)
    with pytest.raises(NoFaceError, match="no face was found"):
        select_faces([], "all")
