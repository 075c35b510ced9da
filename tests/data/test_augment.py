import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from faceedit.data.augment import ORIGIN, augment, even_targets
from faceedit.data.labels import Label, read_labels
from faceedit.errors import NoFaceError, UsageError
from tests.conftest import FakeDetector, draw_face, face_at


@pytest.fixture
def faces(tmp_path, tiny_editor):
    """Six photos, one of them for validation, all calm and slightly pleasant."""
    tiny_editor.detector = FakeDetector([face_at(0, 0, 48)])
    folder = tmp_path / "faces"
    folder.mkdir()
    rows = ["file,valence,arousal,expression,p_happy,age,split"]
    for i in range(6):
        Image.fromarray(draw_face(48, tint=i)).save(folder / f"{i}.png")
        rows.append(f"{i}.png,0.3,0.0,1,0.9,40,{'train' if i else 'validation'}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_training_photos_get_edits_and_all_are_labelled(faces, tiny_editor, tmp_path):
    out = tmp_path / "out"
    done = list(augment(tiny_editor, faces, out, 3))
    assert done == [(count, 6, None) for count in range(1, 7)]
    labels = {label.file: label for label in read_labels(out)}
    assert len(labels) == 6 + 5 * 3
    assert all((out / "images" / file).is_file() for file in labels)
    edit = labels["1-to2.png"]
    assert (edit.expression, edit.split, edit.extra) == (None, "train", {"p_happy": "", "age": "40", ORIGIN: "1.png"})
    assert (labels["1.png"].extra["p_happy"], labels["0.png"].split) == ("0.9", "validation")
    assert not any(label.extra[ORIGIN] == "0.png" for label in labels.values())
    assert (out / "images" / "1.png").read_bytes() == (faces / "1.png").read_bytes()


def test_another_run_makes_only_what_is_missing(faces, tiny_editor, tmp_path):
    out = tmp_path / "out"
    running = augment(tiny_editor, faces, out, 2)
    next(running)
    next(running)
    running.close()
    assert 2 <= len(read_labels(out)) < 16
    list(augment(tiny_editor, faces, out, 2))
    before = read_labels(out)
    assert len(before) == 16
    os.unlink(out / "images" / "2-to1.png")
    times = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    list(augment(tiny_editor, faces, out, 2))
    assert sorted(map(str, read_labels(out))) == sorted(map(str, before))
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    assert (out / "images" / "2-to1.png").is_file()


def test_a_run_that_made_nothing_is_gone_on_with(faces, tiny_editor, tmp_path):
    detector, tiny_editor.detector = tiny_editor.detector, FakeDetector([])
    labels = (faces / "labels.csv").read_text()
    (faces / "labels.csv").write_text(labels.replace("validation", "train"))
    assert all(error for _, _, error in augment(tiny_editor, faces, tmp_path / "out", 1))
    tiny_editor.detector = detector
    assert not any(error for _, _, error in augment(tiny_editor, faces, tmp_path / "out", 1))


def test_targets_fill_the_emptiest_cells_of_the_support(tiny_editor):
    labels = [Label(f"{i}", 0.3, 0.0, split="train") for i in range(40)]
    targets = [target for places in even_targets(tiny_editor, labels, 4, 0).values() for target in places]
    assert len(targets) == 160
    assert all(tiny_editor.support.nearest(target) == target for target in targets)
    cells = Counter((round(t.valence * 4), round(t.arousal * 4)) for t in targets)
    assert len(cells) >= 12  # the tiny editor's labels cover the right half
    assert cells[1, 0] <= np.median(list(cells.values()))  # where all photos are already
    assert even_targets(tiny_editor, labels, 4, 0) == even_targets(tiny_editor, labels, 4, 0)
    assert even_targets(tiny_editor, labels, 4, 1) != even_targets(tiny_editor, labels, 4, 0)


def test_a_photo_without_a_face_is_left_out_and_named(faces, tiny_editor, tmp_path):
    tiny_editor.detector = FakeDetector([])
    errors = [error for _, _, error in augment(tiny_editor, faces, tmp_path / "out", 1)]
    assert errors[0] is None  # of validation
    assert all(isinstance(error, NoFaceError) and "png" in str(error) for error in errors[1:])
    with pytest.raises(UsageError, match="1 to 100"):
        next(augment(tiny_editor, faces, tmp_path / "out", 0))


def test_labels_that_no_run_made_are_kept(faces, tiny_editor, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "labels.csv").write_text("file,valence,arousal\n9.png,0.1,0.2\n")
    for out in (faces, other):
        before = (out / "labels.csv").read_bytes()
        with pytest.raises(UsageError, match="name another folder"):
            list(augment(tiny_editor, faces, out, 1))
        assert (out / "labels.csv").read_bytes() == before
