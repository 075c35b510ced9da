import csv
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from faceedit.data.labels import read_labels
from faceedit.data.prepare import prepare
from faceedit.errors import UsageError
from tests.conftest import ASTRONAUT


@pytest.fixture
def photos(tmp_path):
    """Three photos of the astronaut, one without a face and one that is none."""
    folder = tmp_path / "photos" / "images"
    folder.mkdir(parents=True)
    with Image.open(ASTRONAUT) as image:
        image.save(folder / "a.jpg")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "a.png")
        image.resize((300, 300)).save(folder / "b.webp")
    Image.new("RGB", (200, 200), (80, 90, 100)).save(folder / "wall.jpg")
    (folder / "text.jpg").write_text("no photo")
    rows = ["a.jpg,0.6,0.1,1,train,x", "a.png,0.5,0,1,train,y", "b.webp,0.4,0,,validation,z"]
    rows += ["wall.jpg,0,0,0,train,", "text.jpg,0,0,0,train,"]
    (folder.parent / "labels.csv").write_text("file,valence,arousal,expression,split,group\n" + "\n".join(rows) + "\n")
    return folder.parent


def test_photos_become_aligned_crops_with_their_labels(photos, tmp_path):
    seen = []
    result = prepare(photos, tmp_path / "data", 64, 1, lambda done, total: seen.append((done, total)))
    assert (result.train, result.validation) == (2, 1)
    assert [path.rsplit("/", 1)[-1] for path in result.no_face + result.unreadable] == ["wall.jpg", "text.jpg"]
    assert seen[-1] == (5, 5)
    with open(tmp_path / "data" / "train" / "labels.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["valence"], row["group"]) for row in rows] == [
        ("a.jpg", "0.6000", "x"),
        ("a.png.jpg", "0.5000", "y"),
    ]
    with Image.open(tmp_path / "data" / "train" / "a.jpg") as crop:
        assert crop.size == (64, 64)
        skin = np.asarray(crop, int)[24:44, 24:40].mean((0, 1))
    assert skin[0] > skin[2] + 20

    # Going on: what is there is kept, what is missing is made again, and the end is the same.
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")}
    (tmp_path / "data" / "train" / "a.jpg").unlink()
    shutil.copy(photos / "images" / "a.png", tmp_path / "kept")
    (photos / "images" / "a.png").unlink()
    prepare(photos, tmp_path / "data", 64, 1)
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")} == before


def test_crops_of_two_sizes_or_sources_are_not_mixed(photos, tmp_path):
    prepare(photos, tmp_path / "data", 64, 1)
    shutil.copytree(photos, tmp_path / "other")
    with pytest.raises(UsageError, match="other settings"):
        prepare(tmp_path / "other", tmp_path / "data", 64, 1)
    with pytest.raises(UsageError, match="other settings"):
        prepare(photos, tmp_path / "data", 96, 1)


def test_crops_within_the_source_are_no_photos(tmp_path):
    source = tmp_path / "names"
    source.mkdir()
    shutil.copy(ASTRONAUT, source / "1s1s600s100.jpg")
    for _ in range(2):
        assert prepare(source, source / "data", 64, 1).train + prepare(source, source / "data", 64, 1).validation == 1


def test_what_prepare_did_not_make_is_left_alone(photos, tmp_path):
    mine = tmp_path / "data" / "train" / "labels.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UsageError, match="did not make"):
        prepare(photos, tmp_path / "data", 64, 1)
    assert mine.read_text() == "mine"


def test_one_name_ends_no_others(tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    rows = [
        "file,valence,arousal,split",
        "a.jpg,0.6,0.1,train",
        f"{'n' * 300}.jpg,0,0,train",
        f"{'d' * 300}/b.jpg,0,0,train",
    ]
    (source / "labels.csv").write_text("\n".join(rows))
    shutil.copy(ASTRONAUT, source / "a.jpg")
    done = prepare(source, tmp_path / "data", 64, 1)
    assert (done.train, len(done.unreadable) + len(done.failed)) == (1, 2)
    named = tmp_path / "named"
    named.mkdir()
    shutil.copy(ASTRONAUT, os.fsencode(named / "b\udcffs1s600s100.jpg"))
    done = prepare(named, tmp_path / "crops", 64, 1)
    assert done.train + done.validation == 1
    assert len(read_labels(tmp_path / "crops" / ("train" if done.train else "validation"))) == 1
