"""Who waits sees within half a second that something goes on: before torch is imported, which takes longer."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ASTRONAUT, draw_faces

# Ends a command where it begins to import torch, as that is said after all that came to the terminal before.
UNTIL_TORCH = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.stderr.write("IMPORTS TORCH")
            sys.stderr.flush()
            os._exit(0)
sys.meta_path.insert(0, Finder())
from faceedit.cli import main
main()
"""
COMMANDS = {
    "edit": [ASTRONAUT, "--emotion", "sad", "-o", "out.jpg"],
    "series": [ASTRONAUT, "-o", "series"],
    "grid": [ASTRONAUT, "-o", "out.png"],
    "animate": [ASTRONAUT, "-o", "out.webp"],
    "estimate": [ASTRONAUT],
    "evaluate": ["data"],
    "prepare": ["data", "--out", "crops"],
    "train": ["--data", "data"],
    "export": ["run", "-o", "out.safetensors"],
    "web": ["--no-browser"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_that_it_goes_on_before_it_imports_torch(name, tmp_path):
    draw_faces(tmp_path / "data")
    environment = {**os.environ, "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "TERM": "xterm"}
    command = [sys.executable, "-c", UNTIL_TORCH, name, *map(str, COMMANDS[name])]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    shown, imports, _ = ran.stderr.partition("IMPORTS TORCH")
    assert imports, ran.stderr
    assert any("\N{BRAILLE PATTERN BLANK}" < character < "\N{BRAILLE PATTERN DOTS-12345678}" for character in shown)


def test_where_nobody_watches_nothing_spins(tmp_path):
    command = [sys.executable, "-c", UNTIL_TORCH, "edit", str(ASTRONAUT), "--emotion", "sad", "-o", "out.jpg"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.stderr == "IMPORTS TORCH"
