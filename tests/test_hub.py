"""Against a stand-in for the hub's file server on this machine, in processes of their own: the address is read once."""

import os
import subprocess
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from faceedit import hub
from faceedit.errors import UnreadableError, UsageError, WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """One repository, me/faces, with one file at the revisions main and v1."""

    content = b""
    etag = None
    cut = False

    def do_HEAD(self):
        self._answer(head=True)

    def do_GET(self):
        self._answer(head=False)

    def _answer(self, head):
        server = self.server
        if not self.path.startswith("/me/faces/resolve/"):
            return self._missing("RepoNotFound")
        revision, _, file = self.path.removeprefix("/me/faces/resolve/").partition("/")
        if revision not in ("main", "v1", COMMIT):
            return self._missing("RevisionNotFound")
        if file != "model.safetensors":
            return self._missing("EntryNotFound")
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{server.etag}"')
        self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        if not head:
            server.gets += 1
            self.wfile.write(server.content[: len(server.content) // 2] if server.cut else server.content)
        return None

    def _missing(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tiny_judge):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.content = tiny_judge.read_bytes()
    server.etag = sha256(server.content).hexdigest()
    server.cut, server.gets = False, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    """Runs `faceedit fetch` with arguments against the stand-in: exit code, stdout, stderr."""

    def runner(*arguments, **environment):
        address = f"http://127.0.0.1:{server.server_address[1]}"
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "faceedit", "fetch", *arguments],
            env=os.environ | settings | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return runner


def test_references():
    assert hub.parse("hub:me/faces") == hub.Reference("me/faces")
    assert hub.parse("hub:me/faces@v1:big.safetensors") == hub.Reference("me/faces", "v1", "big.safetensors")
    for text in ("hub:faces", "hub:me/faces@", "hub:me/faces:model.bin", "hub:../x/y", "hub:"):
        with pytest.raises(UsageError, match="hub:owner/name"):
            hub.parse(text)


def test_weights_are_fetched_once_checked_and_kept(fetch, server, tmp_path):
    code, out, err = fetch("hub:me/faces@v1", "--sha256", server.etag)
    assert code == 0, err
    path = Path(out.split()[0])
    assert path.read_bytes() == server.content
    assert server.gets == 1
    assert fetch("hub:me/faces@v1", HF_HUB_OFFLINE="1")[0] == 0
    assert server.gets == 1
    code, out, _ = fetch("hub:me/faces@v1", "-o", str(tmp_path / "mine.safetensors"))
    assert code == 0
    assert (tmp_path / "mine.safetensors").read_bytes() == server.content


def test_what_cannot_be_had_is_one_line_and_exit_5(fetch, server):
    for reference, sentence in (
        ("hub:me/nothing", "no repository me/nothing"),
        ("hub:me/faces@v9", "no revision v9"),
        ("hub:me/faces:other.safetensors", "no file other.safetensors"),
    ):
        code, out, err = fetch(reference)
        assert (code, out) == (5, "")
        assert sentence in err
        assert "Traceback" not in err
    assert "cannot be reached" in fetch("hub:me/faces", HF_HUB_OFFLINE="1")[2]


def test_a_wrong_hash_is_refused_and_not_kept(fetch, server, tmp_path):
    code, _, err = fetch("hub:me/faces", "--sha256", "0" * 64)
    assert code == 5
    assert "another SHA-256" in err
    server.etag = "f" * 64
    assert fetch("hub:me/faces@main")[0] == 5
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_no_network_is_said(fetch, server):
    server.shutdown()
    server.server_close()
    code, out, err = fetch("hub:me/faces")
    assert (code, out) == (5, "")
    assert "Traceback" not in err


def test_push_uploads_the_weights_with_their_card(tiny_judge, tmp_path, monkeypatch):
    import huggingface_hub

    calls = []

    class Api:
        def create_repo(self, repository, **options):
            calls.append((repository, options))

        def create_commit(self, repository, operations, commit_message):
            calls.append((repository, sorted(operation.path_in_repo for operation in operations)))
            return type("Commit", (), {"commit_url": "there"})()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    card = tmp_path / "CARD.md"
    card.write_text("# A card")
    assert hub.push(tiny_judge, "me/faces", card, private=True) == "there"
    assert calls == [
        ("me/faces", {"private": True, "exist_ok": True}),
        ("me/faces", ["README.md", "model.safetensors"]),
    ]
    with pytest.raises(UnreadableError, match=r"none\.md"):
        hub.push(tiny_judge, "me/faces", tmp_path / "none.md")


def test_weights_are_taken_by_reference(monkeypatch, tiny_judge):
    from faceedit.hub import find_weights

    monkeypatch.setattr(hub, "fetch", lambda text: tiny_judge)
    assert find_weights("hub:me/faces@v1") == tiny_judge
    with pytest.raises(WeightsError):
        find_weights("hubbub")
