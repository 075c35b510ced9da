import csv
import os

import numpy as np
import pytest
from PIL import Image

from faceedit.editing.stimuli import RESULTS_FILE, make_stimuli, read_stimuli
from faceedit.errors import ExistsError, FaceEditError, UnreadableError, UsageError
from tests.conftest import FakeDetector, draw_face, face_at

TABLE = """file,emotion,valence,arousal,strength,only,face,output,block
a.png,happy,,,,,,,1
a.png,,0.3,,,,,inner/b.jpg,1
a.png,sad,,,0.5,mouth,2,,2
none.png,sad,,,,,,,2
"""


@pytest.fixture
def table(tmp_path, tiny_editor):
    tiny_editor.detector = FakeDetector([face_at(0, 0, 48)])
    Image.fromarray(draw_face(48)).save(tmp_path / "a.png")
    path = tmp_path / "targets.csv"
    path.write_text(TABLE)
    return path


def results(folder):
    with open(folder / RESULTS_FILE) as file:
        return list(csv.DictReader(file))


def test_a_row_is_a_result_and_another_table_says_what_it_became(table, tiny_editor, tmp_path):
    out = tmp_path / "out"
    outcomes = [outcome for _, outcome in make_stimuli(tiny_editor, read_stimuli(table), out)]
    assert [isinstance(outcome, FaceEditError) for outcome in outcomes] == [False, False, True, True]
    assert (out / "a-0001.png").is_file()
    assert (out / "inner" / "b.jpg").is_file()
    rows = results(out)
    assert [row["result"] for row in rows] == ["a-0001.png", "inner/b.jpg", "a-0003.png", "none-0004.png"]
    assert [row["block"] for row in rows] == list("1122")  # what means nothing here is carried along
    assert "no face 2" in rows[2]["error"]
    assert "none.png" in rows[3]["error"]
    assert float(rows[1]["asked_valence"]) == 0.3
    assert rows[1]["asked_arousal"] == rows[1]["source_arousal"]
    assert -1 <= float(rows[0]["reached_valence"]) <= 1
    assert rows[0]["sha256"] == tiny_editor.weights.sha256
    assert rows[0]["identity"] == ""


def test_another_run_makes_only_what_is_missing_or_changed(table, tiny_editor, tmp_path):
    out = tmp_path / "out"
    list(make_stimuli(tiny_editor, read_stimuli(table), out))
    os.unlink(out / "inner" / "b.jpg")
    Image.fromarray(draw_face(48)).save(tmp_path / "none.png")
    table.write_text(TABLE.replace("a.png,sad,,,0.5,mouth,2", "a.png,sad,,,0.5,mouth,1"))
    outcomes = [outcome for _, outcome in make_stimuli(tiny_editor, read_stimuli(table), out)]
    assert [outcome is None for outcome in outcomes] == [True, False, False, False]
    assert not any(isinstance(outcome, FaceEditError) for outcome in outcomes)
    before = results(out)
    assert [outcome for _, outcome in make_stimuli(tiny_editor, read_stimuli(table), out)] == [None] * 4
    assert results(out) == before


def test_what_was_done_before_an_interruption_is_kept(table, tiny_editor, tmp_path):
    out = tmp_path / "out"
    running = make_stimuli(tiny_editor, read_stimuli(table), out)
    next(running)
    running.close()
    assert [row["result"] for row in results(out)] == ["a-0001.png"]
    assert next(make_stimuli(tiny_editor, read_stimuli(table), out))[1] is None


def test_a_file_that_no_run_made_is_kept_unless_it_may_be_replaced(table, tiny_editor, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    mine = out / "a-0001.png"
    Image.fromarray(draw_face(32)).save(mine)
    before = mine.read_bytes()
    ((_, outcome),) = make_stimuli(tiny_editor, read_stimuli(table)[:1], out)
    assert (isinstance(outcome, ExistsError), mine.read_bytes() == before) == (True, True)
    assert "exists" in results(out)[0]["error"]
    ((_, outcome),) = make_stimuli(tiny_editor, read_stimuli(table)[:1], out, overwrite=True)
    assert (isinstance(outcome, FaceEditError), mine.read_bytes() == before) == (False, False)
    os.unlink(out / RESULTS_FILE)  # as after a run that was killed
    ((_, outcome),) = make_stimuli(tiny_editor, read_stimuli(table)[:1], out)
    assert not isinstance(outcome, FaceEditError)


def test_a_photo_of_the_table_is_no_output(table, tiny_editor, tmp_path):
    table.write_text("file,emotion,output\na.png,happy,a.png\n")
    before = (tmp_path / "a.png").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="is a photo of the table"):
            list(make_stimuli(tiny_editor, read_stimuli(table), tmp_path, overwrite=overwrite))
    assert (tmp_path / "a.png").read_bytes() == before


def test_identity_is_measured_where_there_is_an_embedder(table, tiny_editor, tmp_path):
    import torch

    class Embedder:
        def embed(self, images, face):
            return torch.nn.functional.normalize(torch.tensor(np.stack(images)).flatten(1).float())

    list(make_stimuli(tiny_editor, read_stimuli(table)[:1], tmp_path / "out", Embedder()))
    assert 0.5 < float(results(tmp_path / "out")[0]["identity"]) <= 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a.png,,,,,,,,", "line 2: say where to go"),
        ("a.png,hapy,,,,,,,", "did you mean happy"),
        ("a.png,sad,,,often,,,,", "strength must be a number, not often"),
        ("a.png,sad,,,,nose,,,", "a part of the face is"),
        ("a.png,sad,,,,,all,,", "one face"),
        ("a.png,sad,,,,,,x.gif,", "gif"),
        ("a.png,sad,,,,,,x.png,\na.png,sad,,,,,,x.png,", "also the output"),
        (f"a.png,sad,,,,,,{RESULTS_FILE}/a.png,", "not a folder"),
        ("a\0.png,sad,,,,,,,", "zero byte"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path, row, sentence):
    path = tmp_path / "targets.csv"
    path.write_text(TABLE.splitlines()[0] + "\n" + row + "\n")
    with pytest.raises(UsageError, match=sentence):
        read_stimuli(path)


def test_an_output_stays_below_the_folder(tmp_path):
    path = tmp_path / "targets.csv"
    for output in ("../x.png", "/x.png"):
        path.write_text(f"file,emotion,output\na.png,sad,{output}\n")
        with pytest.raises(UnreadableError, match="not a path below"):
            read_stimuli(path)
    path.write_text("file,emotion\n")
    with pytest.raises(UnreadableError, match="no rows"):
        read_stimuli(path)


def test_what_another_table_made_stays_in_the_results(table, tiny_editor, tmp_path):
    out = tmp_path / "out"
    list(make_stimuli(tiny_editor, read_stimuli(table), out))
    before = results(out)
    other = tmp_path / "other.csv"
    other.write_text("file,emotion,output,site\na.png,sad,c.png,north\n")
    running = make_stimuli(tiny_editor, read_stimuli(other), out)
    next(running)
    appended = (out / RESULTS_FILE).read_text().replace("none-0004", "late-0005").replace("none.png", "late.png")
    (out / RESULTS_FILE).write_text(appended)  # by another run
    list(running)
    rows = results(out)
    assert [row["result"] for row in rows] == ["c.png", "a-0001.png", "inner/b.jpg", "a-0003.png", "late-0005.png"]
    assert [{name: row[name] for name in before[0]} for row in rows[1:4]] == before[:3]
    assert (rows[0]["site"], rows[1]["site"]) == ("north", "")


def test_a_table_that_is_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "targets.csv"
    os.mkfifo(path)
    with pytest.raises(UnreadableError, match="is no file"):
        read_stimuli(path)
