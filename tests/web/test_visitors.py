"""The page over HTTP: many visitors, hostile ones, and a long day."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from faceedit.media.image import Photo, encode_photo, read_photo

httpx = pytest.importorskip("httpx", reason="it comes with Gradio: faceedit[web]")
EDITS = 1000 if "FACEEDIT_FUZZ" in os.environ else 40


class Visitor:
    """What a browser does with the page, without one."""

    def __init__(self, address: str):
        self.client = httpx.Client(base_url=f"{address}gradio_api/", timeout=300)
        self.session = uuid.uuid4().hex
        config = httpx.get(f"{address}config").json()
        self.functions = {function["api_name"]: function["id"] for function in config["dependencies"]}

    def send(self, name: str, content) -> httpx.Response:
        return self.client.post("upload", files={"files": (name, content)})

    def call(self, name: str, *values):
        """What a function of the page gives, or the message that it shows instead."""
        body = {"data": values, "fn_index": self.functions[name], "session_hash": self.session}
        self.client.post("queue/join", json=body).raise_for_status()
        with self.client.stream("GET", "queue/data", params={"session_hash": self.session}) as events:
            (end,) = (line for line in events.iter_lines() if '"process_completed"' in line)
        end = httpx.Response(200, text=end.removeprefix("data:")).json()
        return end["output"]["data"] if end["success"] else str(end["output"]["error"])

    def open(self, path: str):
        """What the page shows of a file, or a message: of the file, or that no face was found in it."""
        shown = self.call("open", {"path": path, "meta": {"_type": "gradio.FileData"}})
        return shown if isinstance(shown, str) else self.call("find", None)

    def open_sent(self, name: str, content):
        return self.open(self.send(name, content).json()[0])

    def download(self, valence: float, arousal: float) -> bytes:
        self.call("edit", None, valence, arousal, 1)
        (made,) = self.call("download", None)
        return self.client.get(f"file={made['path']}").content


@pytest.fixture
def visitor(address):
    return Visitor(address)


def test_twenty_visitors_at_once_each_get_their_own(address, photo):
    nobody = encode_photo(Photo(np.zeros((50, 50, 3), np.uint8)), "PNG")

    def visit(number: int):
        visitor = Visitor(address)
        if number % 5 == 4:
            return visitor.open_sent("wall.png", nobody)
        visitor.open_sent(photo.name, photo.read_bytes())
        visitor.call("edit", None, 0.1, 0.1, 1)
        return visitor.download((0.2, 0.4, 0.6, 0.8)[number % 5], 0.2)

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(visit, range(20)))
    for target in range(5):
        assert len(set(results[target::5])) == 1
    assert "no upright face" in results[4]
    assert len(set(results)) == 5
    assert all(read_photo(result).pixels.shape == (1500, 2000, 3) for result in results[:4])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "cannot read empty.png"),
        ("junk.jpg", b"junk" * 100, "cannot read junk.jpg"),
        ("../../../up.png", b"junk", "cannot read up.png"),
        ("a.html", b"<script>", "Invalid file type"),
        ("x" * 300 + ".png", b"junk", "cannot read"),
    ],
)
def test_what_is_no_photo_is_a_message(visitor, name, content, message):
    said = visitor.open_sent(name, content)
    assert message in said
    assert "/tmp" not in said


class Zeros:
    """A file of zeros that takes no memory."""

    def __init__(self, size: int):
        self.left = size

    def read(self, size: int = -1) -> bytes:
        size = min(self.left, 1 << 16 if size < 0 else size)
        self.left -= size
        return bytes(size)


def test_uploads_end_at_a_hundred_megabytes(visitor, photo):
    refused = visitor.send("large.png", Zeros(100 * 2**20 + 1))
    assert refused.status_code == 413
    assert "exceeded" in refused.text
    assert "cannot read large.png" in visitor.open_sent("large.png", Zeros(100 * 2**20))
    assert not isinstance(visitor.open_sent(photo.name, photo.read_bytes()), str)


def test_a_target_that_makes_no_sense_is_a_message(visitor, photo):
    visitor.open_sent(photo.name, photo.read_bytes())
    assert "valence must be" in visitor.call(
        "edit_at", None, {"valence": 9, "arousal": 0, "moving": False, "emotion": ""}, 1
    )
    assert "no emotion" in visitor.call("animate", None, "hungry", 1, False, "GIF")


def test_no_file_that_was_not_sent_can_be_named(visitor, address, photo, tmp_path):
    (tmp_path / "private.txt").write_text("private")
    readme = Path(__file__).parents[1] / "README.md"
    for path in ("/etc/passwd", photo, tmp_path / "private.txt", readme, "README.md", "../README.md"):
        assert isinstance(visitor.open(str(path)), str)
        refused = visitor.client.get(f"file={path}")
        assert refused.status_code in (403, 404)
        assert len(refused.content) < 500
    for path in (
        "%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        f"{address}config",
        "/proc/self/environ",
    ):
        assert visitor.client.get(f"file={path}").status_code in (403, 404)


def test_memory_stays_as_it_is_over_many_edits(visitor, photo):
    visitor.open_sent(photo.name, photo.read_bytes())
    before = 0
    for number in range(10 + EDITS):
        if number == 10:
            before = resident()
        assert not isinstance(visitor.call("edit", None, number % 100 / 100, 0.2, 1), str)
    assert resident() - before < 50e6  # a preview takes 2.4e6


def resident() -> int:
    """Bytes of memory of this process, in which the page is served."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_names_that_the_page_is_not_served_under_are_refused(address):
    for name, code in (
        ("evil.example", 400),
        ("evil.example:7860", 400),
        ("", 400),
        ("[", 400),
        ("localhost:1", 200),
        ("LocalHost.", 200),
        ("[::1]:9", 200),
    ):
        assert httpx.get(address, headers={"host": name}).status_code == code


def test_no_run_is_remembered(address):
    assert httpx.get(f"{address}gradio_api/runs").status_code == 404
    assert httpx.get(f"{address}config").json()["run_history"] is False
