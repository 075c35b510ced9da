import pytest

from faceedit.editing.selection import choose_faces, parse_choices, select_faces
from faceedit.editing.target import Request
from faceedit.errors import NoFaceError, UsageError

FACES = ["large", "middle", "small"]


def test_each_face_can_have_its_own_emotion():
    request = Request(0.1, 0.2, strength=0.5)
    chosen = choose_faces(FACES, parse_choices(["all", "2=sad"], request, 0.4, 0.5))
    assert chosen == choose_faces(FACES, parse_choices(["2=sad", "all"], request, 0.4, 0.5))
    assert [face for face, _ in chosen] == FACES
    assert [wanted.emotion for _, wanted in chosen] == [None, "sad", None]
    assert chosen[1][1] == Request(emotion="sad", intensity=0.4, strength=0.5)
    assert choose_faces(FACES, parse_choices(["3=happy", "1=sad"], None, None, 1)) == [
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
    with pytest.raises(NoFaceError, match="no upright face was found"):
        select_faces([], "all")
