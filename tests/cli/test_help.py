"""What help and the shell offer."""

import os
import re
import subprocess
import sys

import pytest

from faceedit.circumplex import EMOTIONS


@pytest.mark.parametrize("columns", [60, 100])
def test_help_is_grouped_and_fits_the_terminal(run, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run("edit", "--help")
    lines = out.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Arguments:", "Target:", "Faces:", "Output:", "Machine:", "Options:", "Examples:"]
    words = " ".join(out.split())
    assert "bool" not in out
    assert "`faceedit[ray]`" in words
    assert all(re.search(rf"\b{name}\b", words) for name in EMOTIONS)
    assert "[web]" in run("--help")[1]
    assert "  faceedit edit group.jpg --face 1=happy --face 2=sad\n" in out
    for name in (
        "grid",
        "animate",
        "info",
        "estimate",
        "evaluate",
        "prepare",
        "train",
        "export",
        "fetch",
        "push",
        "web",
    ):
        _, out, _ = run(name, "--help")
        assert f"Examples:\n  faceedit {name}" in out
        assert max(map(len, out.splitlines())) <= columns, name


def test_the_shell_is_offered_emotions_weights_and_formats(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.safetensors").touch()
    (tmp_path / "old.png").touch()
    (tmp_path / "notes.txt").touch()

    def offered(*words):
        line = " ".join(["faceedit", *words])
        env = os.environ | {"_FACEEDIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        code = "import sys; from faceedit import cli; sys.argv = ['faceedit']; cli.main()"
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout.split()

    assert offered("edit", "a.jpg", "--emotion", "a") == ["afraid", "angry", "angrier"]
    assert offered("edit", "a.jpg", "--weights", "w") == ["warp-96"]
    assert offered("edit", "a.jpg", "--weights", "m") == ["mine.safetensors"]
    assert offered("edit", "a.jpg", "--weights", "j") == []  # the judge edits nothing
    assert offered("edit", "a.jpg", "-o", "new.p") == ["new.png"]
    assert offered("edit", "a.jpg", "-o", "ol") == ["old.png"]
    assert offered("animate", "a.jpg", "-o", "new.") == ["new.gif", "new.webp", "new.mp4"]


@pytest.mark.parametrize(
    ("line", "exit_code"),
    [
        ("info https://a.org/b.jpg", 4),
        ("train --data https://a.org/faces", 4),
        ("evaluate https://a.org/faces", 4),
        ("augment https://a.org/faces -o augmented", 4),
        ("series https://a.org/a.jpg -o series", 4),
        ("edit https://a.org/film.mp4 --emotion happy", 2),
        ("animate https://a.org/a.jpg", 2),
    ],
)
def test_a_url_is_refused_as_such(run, line, exit_code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").mkdir()
    code, _, said = run(*line.split())
    assert (code, "is a URL" in said) == (exit_code, True), said
