"""Editing on a cluster: two workers on this machine, which are killed at bad moments."""

import json
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from tests.conftest import ASTRONAUT

cluster = pytest.importorskip("faceedit.cluster")
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def two_workers():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker: with more, sums may be rounded differently
    ray.init("local", num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path):
    """Five small photos of a face, two of which want the same name for their crops, and one in a folder of its own."""
    root = tmp_path / "in"
    (root / "inner").mkdir(parents=True)
    with Image.open(ASTRONAUT) as image:
        face = image.crop((130, 20, 330, 220))
    for i, name in enumerate(("a.jpg", "a.png", "b.jpg", "c.jpg", "inner/d.jpg")):
        photo = ImageOps.mirror(face) if i % 2 else face
        photo.resize((140 + 8 * i, 140 + 8 * i)).save(root / name, quality=95)
    return root


@pytest.fixture
def edit(run, tiny_weights):
    return lambda *arguments: run("edit", "--emotion", "sad", "--weights", tiny_weights, "--device", "cpu", *arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_worker_killed_while_it_writes_leaves_the_outputs_of_one_machine(edit, folder, tmp_path, monkeypatch):
    killed = tmp_path / "killed"

    class Killed(cluster.Worker):
        def __call__(self, row):
            if any(job.photo.name == "b.jpg" for job in pickle.loads(row["jobs"])) and not killed.exists():
                killed.touch()
                os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # the file is there, without its name
            return super().__call__(row)

    monkeypatch.setattr(cluster, "Worker", Killed)
    monkeypatch.setattr(cluster, "TASKS", 5)  # two photos a task
    arguments = (folder, "--recursive", "--crop", "--json")
    here, there = tmp_path / "here", tmp_path / "there"
    code, wanted, _ = edit(*arguments, "-o", here)
    assert code == 0
    code, out, err = edit(*arguments, "-o", there, "--engine", "ray")
    assert (code, killed.exists()) == (0, True)
    assert sorted(out.replace(str(there), str(here)).splitlines()) == sorted(wanted.splitlines())
    assert err.count("face 1") == 5
    assert contents(there) == contents(here)


def test_what_is_missing_is_done_and_what_no_worker_survives_is_told(edit, folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    for done in ("a-edited.jpg", "a-edited.png"):
        (out / done).write_bytes(b"done")
    (folder / "b.jpg").write_text("no photo")

    unheard = tmp_path / "unheard"

    class Killed(cluster.Worker):
        def __call__(self, row):
            names, work = {job.photo.name for job in pickle.loads(row["jobs"])}, self.work
            if "c.jpg" in names:
                self.work = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            outcomes = super().__call__(row)
            self.work = work  # a task that is not tried again leaves this worker to others
            if names == {"d.jpg"} and not unheard.exists():
                unheard.touch()
                os.kill(os.getpid(), signal.SIGKILL)  # what became of it is not told yet
            return outcomes

    monkeypatch.setattr(cluster, "Worker", Killed)
    monkeypatch.setattr(cluster, "ATTEMPTS", 1)
    monkeypatch.setattr(cluster, "TASKS", 1)  # all three in one task
    code, shown, err = edit(folder, "--recursive", "-o", out, "--engine", "ray", "--skip-existing", "--json")
    told = (json.loads(line) for line in shown.splitlines() if line.startswith("{"))  # not Ray of the test before
    rows = {Path(row["input"]).name: row for row in told}
    assert (code, unheard.exists()) == (7, True)
    assert "2 of 5 photos failed" in err
    assert "skipped" in rows["a.jpg"]
    assert "skipped" in rows["a.png"]
    assert "not a photo" in rows["b.jpg"]["error"]
    assert "workers that tried it died" in rows["c.jpg"]["error"]
    assert rows["d.jpg"]["faces"]
    done = contents(out)
    assert set(done) == {"a-edited.jpg", "a-edited.png", "inner/d-edited.jpg"}
    assert done["a-edited.jpg"] == b"done"


def test_what_holds_for_all_photos_ends_the_run(edit, folder, tmp_path, monkeypatch):
    assert edit(folder, "--engine", "ray", "--weights", tmp_path / "none.safetensors")[0] == 5
    with_result = (folder / "b.jpg", folder / "b-edited.jpg")
    with_result[1].write_bytes(with_result[0].read_bytes())
    code, _, err = edit(*with_result, "--engine", "ray", "--overwrite")
    assert code == 2
    assert "edited twice" in err
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    code, _, err = edit(folder, "--engine", "ray")
    assert code == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in err
