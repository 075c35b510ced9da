from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.batch import Job, find_photos, plan, run
from faceedit.errors import NoFaceError, UnreadableError, UnwritableError, UsageError
from faceedit.files import make_folder
from faceedit.media.image import read_photo


@pytest.fixture
def folder(tmp_path):
    """a.jpg, a.png, notes.txt and inner/b.jpg, the pictures 8 pixels square and of different grey."""
    root = tmp_path / "photos"
    (root / "inner").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "a.png", "inner/b.jpg")):
        Image.new("RGB", (8, 8), (40 * i, 40 * i, 40 * i)).save(root / name)
    (root / "notes.txt").write_text("no photo")
    return root


def names(found):
    return [photo.path.name for photo in found]


def test_photos_are_found_in_folders_patterns_and_by_name(folder):
    assert names(find_photos([str(folder)])) == ["a.jpg", "a.png"]
    assert names(find_photos([str(folder)], recursive=True)) == ["a.jpg", "a.png", "b.jpg"]
    assert names(find_photos([str(folder / "*.png"), str(folder / "a.png")])) == ["a.png"]
    assert names(find_photos([str(folder / "none.jpg")])) == ["none.jpg"]  # left to its reader
    for empty in (str(folder / "*.webp"), str(folder.parent)):
        with pytest.raises(UnreadableError, match="holds no photos"):
            find_photos([empty])


def test_outputs_lie_beside_the_photo_or_in_a_folder_with_the_tree_kept(folder, tmp_path):
    found = find_photos([str(folder)], recursive=True)
    beside = [job.output for job in plan(found, "edited")]
    assert beside == [folder / "a-edited.jpg", folder / "a-edited.png", folder / "inner" / "b-edited.jpg"]
    out = tmp_path / "out"
    inside = [job.output for job in plan(found, "grid", ".png", out)]
    assert inside == [out / "a-grid.png", out / "a-grid-2.png", out / "inner" / "b-grid.png"]
    assert (out / "inner").is_dir()


def test_nothing_is_written_over_unless_asked_and_what_is_there_can_be_left(folder):
    found = find_photos([str(folder / "a.jpg")])
    (folder / "a-edited.jpg").touch()
    assert plan(found, "edited") == [Job(folder / "a.jpg", folder / "a-edited-2.jpg")]
    assert plan(found, "edited", overwrite=True) == [Job(folder / "a.jpg", folder / "a-edited.jpg")]
    assert plan(found, "edited", skip_existing=True) == [Job(folder / "a.jpg", folder / "a-edited.jpg", done=True)]
    with pytest.raises(UsageError, match="exists"):
        plan(found, "edited", output=folder / "a-edited.jpg")
    with pytest.raises(UsageError, match="one file for 2 photos"):
        plan(find_photos([str(folder)]), "edited", output=folder / "x.jpg")
    with pytest.raises(UsageError, match="cannot tell the format"):
        plan(found, "edited", output=folder / "x.gif")


def test_the_results_of_an_earlier_run_are_no_photos(folder):
    for job in plan(find_photos([str(folder)]), "edited"):
        job.output.write_bytes(job.photo.read_bytes())
    again = plan(find_photos([str(folder)]), "edited", skip_existing=True)
    assert [job.photo.name for job in again] == ["a.jpg", "a.png"]
    assert all(job.done for job in again)
    named = find_photos([str(folder / "a.jpg"), str(folder / "a-edited.jpg")])
    assert len(plan(named, "edited")) == 2  # who names a result means it
    inside = folder / "out"
    for job in plan(find_photos([str(folder)], recursive=True), "grid", ".png", inside):
        job.output.write_bytes((folder / "a.png").read_bytes())
    again = plan(find_photos([str(folder)], recursive=True), "grid", ".png", inside, skip_existing=True)
    assert sorted(job.photo.name for job in again) == ["a.jpg", "a.png", "b.jpg"]


def test_every_photo_is_worked_on_in_order_and_failures_stop_none(folder, tmp_path):
    (folder / "broken.jpg").write_text("no photo")
    jobs = plan(find_photos([str(folder)], recursive=True), "edited", output=tmp_path / "out")

    def invert(photo):
        if photo.pixels.max() > 60:
            raise NoFaceError("no face")
        return photo.with_pixels(255 - photo.pixels), {"was": int(photo.pixels.max())}

    outcomes = list(run(jobs, invert))
    assert {job for job, _ in outcomes} == set(jobs)
    by_name = {job.photo.name: outcome for job, outcome in outcomes}
    assert isinstance(by_name["broken.jpg"], UnreadableError)
    assert isinstance(by_name["b.jpg"], NoFaceError)
    assert by_name["a.png"] == {"was": 40}
    written = sorted(path.name for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a-edited.jpg", "a-edited.png"]
    assert np.asarray(Image.open(tmp_path / "out" / "a-edited.png")).max() == 215


def test_an_output_that_cannot_be_written_is_a_failure_of_its_job(folder, tmp_path):
    jobs = [Job(folder / "a.jpg", tmp_path / "none" / "a.jpg"), Job(folder / "a.png", tmp_path / "a.png")]
    outcomes = dict(run(jobs, lambda photo: (photo, {})))
    assert isinstance(outcomes[jobs[0]], UnwritableError)
    assert outcomes[jobs[1]] == {}
    assert Path(tmp_path / "a.png").exists()


def test_reading_runs_only_a_few_photos_ahead(folder, monkeypatch):
    read = []
    monkeypatch.setattr("faceedit.batch.read_photo", lambda path: read.append(path) or path)
    monkeypatch.setattr("faceedit.batch.write_photo", lambda path, photo: None)
    jobs = [Job(Path(f"{i}.jpg"), Path(f"{i}.out.jpg")) for i in range(50)]
    ahead = []
    for _ in run(jobs, lambda photo: (photo, {"ahead": ahead.append(len(read) - jobs.index(_job(jobs, photo)))})):
        pass
    assert len(read) == 50
    assert max(ahead) <= 4


def test_failures_hold_no_more_photos_than_successes(monkeypatch):
    read = []
    monkeypatch.setattr("faceedit.batch.read_photo", lambda path: read.append(path) or path)
    jobs = [Job(Path(f"{i}.jpg"), Path(f"{i}.out.jpg")) for i in range(40)]

    def fail(photo):
        assert len(read) - jobs.index(_job(jobs, photo)) <= 4
        raise MemoryError

    outcomes = list(run(jobs, fail))
    assert len(outcomes) == 40
    assert all("could not be edited" in str(outcome) for _, outcome in outcomes)


def _job(jobs, path):
    return next(job for job in jobs if job.photo == path)


def test_what_a_folder_holds_beside_photos_is_counted_and_told(folder, caplog):
    for name in ("clip.mov", "second.MOV", "shot.nef", "readme", "._a.jpg", ".hidden"):
        (folder / name).write_bytes(b"none")
    assert names(find_photos([str(folder)])) == ["a.jpg", "a.png"]
    (told,) = caplog.messages
    assert f"{folder}: 6 files are skipped" in told
    assert "2 .mov" in told
    caplog.clear()
    assert names(find_photos([str(folder / "*")])) == ["a.jpg", "a.png"]
    assert "files are skipped" in caplog.text
    caplog.clear()
    find_photos([str(folder / "*.png")])
    assert caplog.messages == []


def test_brackets_of_folders_that_are_there_are_no_pattern(folder):
    for name in ("set [2020]", "set 2", "a*b"):
        (folder / name).mkdir()
        Image.new("RGB", (8, 8)).save(folder / name / "img [1].jpg")
    found = find_photos([str(folder / "set [2020]" / "*.jpg")])
    assert [photo.path.parent.name for photo in found] == ["set [2020]"]
    assert [photo.path.parent.name for photo in find_photos([str(folder / "set [0-9]" / "*.jpg")])] == ["set 2"]
    assert names(find_photos([str(folder / "set 2" / "img [1]*.jpg")])) == ["img [1].jpg"]
    assert [photo.path.parent.name for photo in find_photos([str(folder / "a*b" / "*")])] == ["a*b"]


def test_links_that_loop_are_no_further_photos(folder, monkeypatch):
    for name in ("again", "twice"):
        (folder / name).symlink_to(folder)
    (folder / "self.jpg").symlink_to("self.jpg")
    for pattern in (folder / "**" / "*.jpg", folder / "**.jpg", folder / "*" / "*" / "a.jpg", folder / "*" / "a.jpg"):
        found = [photo for photo in find_photos([str(pattern)]) if photo.path.name == "a.jpg"]
        assert len(found) == 1
    assert names(find_photos([str(folder)], recursive=True)) == ["a.jpg", "a.png", "b.jpg"]
    assert names(find_photos([str(folder), str(folder / "again")])) == ["a.jpg", "a.png"]
    monkeypatch.chdir(folder)
    assert names(find_photos(["**/*.jpg", "*.png"])) == ["a.jpg", "b.jpg", "a.png"]


@pytest.mark.parametrize("letter", ["a", "ü", "眉"])
def test_names_as_long_as_names_may_be_have_results(folder, letter):
    end = ".png"
    long = [letter * ((250 - len(str(i))) // len(letter.encode())) + f"{i}{end}" for i in range(3)]
    for name in long:
        Image.new("RGB", (8, 8)).save(folder / name)
    found = [photo for photo in find_photos([str(folder)]) if photo.path.name in long]
    jobs = plan(found, "edited")
    assert len({job.output for job in jobs}) == 3
    for job in jobs:
        assert job.output.name.endswith(end)
        assert "-edited" in job.output.name
        job.output.touch()
    assert all(job.done for job in plan(found, "edited", skip_existing=True))
    assert len(plan(find_photos([str(folder)]), "edited", output=folder / "out")) == 5  # its results are no photos


@pytest.mark.parametrize("name", ["https://a.org/b.jpg", "HTTP://a.org/b.jpg?w=1", "file:///tmp/a.jpg", "s3://b/*.jpg"])
def test_a_url_is_refused_as_such(name, folder):
    with pytest.raises(UsageError, match="is a URL"):
        find_photos([name])
    with pytest.raises(UsageError, match="is a URL"):
        plan(find_photos([str(folder)]), "edited", output=Path(name))
    with pytest.raises(UnreadableError, match="is a URL"):
        read_photo(Path(name.split("?")[0].replace("*", "a")))
    with pytest.raises(UsageError, match="is a URL"):
        make_folder(Path(name))


def test_a_missing_folder_of_an_output_is_made_before_the_work(folder):
    found = find_photos([str(folder / "a.jpg")])
    (job,) = plan(found, "edited", output=folder / "new" / "inner" / "a.jpg")
    assert job.output.parent.is_dir()
    (folder / "file").touch()
    with pytest.raises(UnwritableError, match="cannot make the folder"):
        plan(found, "edited", output=folder / "file" / "a.jpg")
