"""Keeps the pages of this folder true: python docs/build.py [--check] [PAGE …]

Runs the commands of every ```console block and writes down what they print, fills in the tables of options and exit
codes from the program, and makes the pictures. --check only tells whether what is printed and tabled is still what the
pages say, and ends with 1 where it is not. Blocks marked `console once`, whose output depends on the machine and the
time, and pictures are made anew without --check alone.
"""

import argparse
import contextlib
import inspect
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, get_args, get_origin, get_type_hints

# Before anything is imported that looks: the pages look alike wherever they are made.
os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb", CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1")

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageOps, ImageSequence
from typer.models import ArgumentInfo

from faceedit import cli, errors
from faceedit.cli.app import app

DOCS = Path(__file__).parent
ROOT = DOCS.parent
EXAMPLE = ROOT / "examples" / "astronaut.jpg"
FACE = (135, 15, 315, 195)  # of the example: what is shown of it beside its edits
MAX_BYTES, MAX_WIDTH = 60_000, 900  # of a picture in git, pixels
MAX_LINES = 24  # of what one command prints
QUALITIES = (85, 75, 65, 55, 45, 35)
CONSOLE = re.compile(r"(?<=^```console)( once)?\n(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"(?<=<!-- )(options|exit codes): ([\w ]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)
PICTURE = re.compile(r"<!-- (faces|picture): (.+) -->\n!\[[^]]*\]\((.+)\)")
NUMBER = re.compile(r"[-+]?\d+(?:\.(\d+))?")
WORDS = {bool: "", int: "whole number", float: "number", str: "text", Path: "path", list[str]: "text"}
CODES = {0: "Done.", 1: "Something unexpected happened.", 130: "Interrupted with Ctrl-C."} | {
    kind.exit_code: kind.__doc__ for kind in errors.FaceEditError.__subclasses__()
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=sorted(DOCS.glob("*.md")), metavar="PAGE")
    parser.add_argument("--check", action="store_true", help="write nothing; tell whether the text is stale")
    arguments = parser.parse_args()
    stale = []
    for path in map(Path.resolve, arguments.pages):
        before = path.read_text()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            material()
            after = TABLE.sub(lambda match: f"{match[1]}: {match[2]} -->\n\n{table(match[1], match[2])}\n\n", before)
            after = CONSOLE.sub(lambda match: console(match, arguments.check), after)
            if not arguments.check:
                for kind, names, target in PICTURE.findall(after):
                    picture(kind, names.split(), DOCS / target)
        if arguments.check and not alike(before, after):
            stale.append(path.name)
            sys.stdout.writelines(unified_diff(before.splitlines(True), after.splitlines(True), path.name, "now"))
        elif not arguments.check:
            path.write_text(after)
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run python docs/build.py")


def alike(old: str, new: str) -> bool:
    """Whether two texts differ only as processors round: by one in the last digit of a number, or in its third."""
    if NUMBER.sub("0", old) != NUMBER.sub("0", new):
        return False
    pairs = zip(NUMBER.finditer(old), NUMBER.finditer(new), strict=True)
    return all(abs(float(a[0]) - float(b[0])) <= 1.01 * 10.0 ** -min(len(a[1] or ""), 3) for a, b in pairs)


def material() -> None:
    """What the commands of the pages find in their folder, all made from the example."""
    shutil.copy(EXAMPLE, "photo.jpg")
    with Image.open(EXAMPLE) as photo:
        mirrored = ImageOps.mirror(photo)
        people = Image.new("RGB", (900, 512), (64, 70, 80))
        people.paste(photo, (0, 0))
        people.paste(mirrored.resize((388, 388)), (512, 124))
        people.save("people.jpg", quality=92)
        Image.new("RGB", (400, 300), (120, 110, 100)).save("wall.jpg")
        covered = photo.copy()
        ImageDraw.Draw(covered).line([(330, 120), (222, 146)], (196, 140, 112), width=13)
        covered.save("finger.jpg", quality=92)
        Path("portraits").mkdir()
        mirrored.save("portraits/mirrored.jpg", quality=92)
        ImageEnhance.Brightness(photo).enhance(0.7).save("portraits/dim.png")
        Path("portraits/notes.jpg").write_text("no photo")
        Path("faces").mkdir()  # labelled, for training and measuring: enough to see the commands run
        rows = ["file,valence,arousal,expression,split"]
        for i in range(16):
            moved = ImageChops.offset(mirrored if i % 2 else photo, 3 * i, 2 * i)
            moved.save(f"faces/{i:02}.jpg", quality=92)
            rows.append(f"{i:02}.jpg,{0.9 - i / 20:.2f},{i / 40:.2f},1,{'train' if i % 4 else 'validation'}")
        Path("faces/labels.csv").write_text("\n".join(rows) + "\n")
        targets = [
            "file,emotion,strength,only,block",
            "photo.jpg,sad,0.5,,1",
            "photo.jpg,sad,1,,1",
            "photo.jpg,sad,1,mouth,2",
        ]
        Path("targets.csv").write_text("\n".join(targets) + "\n")


def table(kind: str, argument: str) -> str:
    if kind == "exit codes":
        codes = [0, *map(int, argument.split()), 130]
        return "\n".join(["| code | when |", "|---|---|", *(f"| {code} | {CODES[code]} |" for code in codes)])
    command = next(command.callback for command in app.registered_commands if command.callback.__name__ == argument)
    hints = get_type_hints(command, include_extras=True)
    rows = ["| option | value | default | meaning |", "|---|---|---|---|"]
    for name, parameter in inspect.signature(command).parameters.items():
        kind, info = get_args(hints[name])
        if not info.help:
            sys.exit(f"faceedit {argument}: {name} has no help")
        # Typer keeps the first name of an option where a default would stand.
        names = [given for given in (info.default, *(info.param_decls or ())) if isinstance(given, str)]
        names = names or ["--" + name.replace("_", "-")]
        if isinstance(info, ArgumentInfo):
            names = [info.metavar]
        elif parameter.default is True:
            names = [*names, names[0].replace("--", "--no-", 1)]
        told = not (parameter.default in (None, inspect.Parameter.empty) or isinstance(parameter.default, bool))
        cells = (", ".join(f"`{n}`" for n in names), value(kind, info), f"`{parameter.default}`" if told else "")
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in (*cells, info.help)) + " |")
    return "\n".join(rows)


def value(kind, info) -> str:
    """What an option takes, in words."""
    if isinstance(kind, UnionType):
        (kind,) = (inner for inner in get_args(kind) if inner is not NoneType)
    if isinstance(info, ArgumentInfo):
        return ""
    if info.metavar:
        return f"`{info.metavar}`"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    low = "" if info.min is None else f" from {info.min}"
    return WORDS[kind] + low + ("" if info.max is None else f" to {info.max}")


def console(match: re.Match, check: bool) -> str:
    """A block with what its commands, the lines that begin with $, print now."""
    once, body = match[1] or "", match[2]
    if check and once:
        return match[0]
    lines, code = [], 0
    for line in body.splitlines():
        if line == "$ echo $?":
            lines += [line, str(code)]
            code = 0
        elif line.startswith("$ "):
            if code:
                sys.exit(f"{lines} ended with {code}: say so with a line `$ echo $?`")
            printed, code = run(line[2:])
            lines += [line, *printed]
    if code:
        sys.exit(f"{lines} ended with {code}: say so with a line `$ echo $?`")
    return f"{once}\n" + "\n".join(lines) + "\n"


def run(command: str) -> tuple[list[str], int]:
    """What a command prints on either stream, and its exit code."""
    printed, code = io.StringIO(), 0
    sys.argv = shlex.split(command)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    text = printed.getvalue().replace(str(ROOT), "~/faceedit")
    lines = [line.rstrip() for line in text.splitlines()]
    return [*lines[:MAX_LINES], "…", lines[-1]] if len(lines) > MAX_LINES + 2 else lines, code


def picture(kind: str, names: list[str], target: Path) -> None:
    """Make one picture of a page: the faces in some files side by side, or a file."""
    target.parent.mkdir(exist_ok=True)
    if kind == "faces":
        cells = [Image.open(name).convert("RGB").crop(FACE) for name in names]
        frames = [Image.new("RGB", (len(cells) * (cells[0].width + 6) - 6, cells[0].height), "white")]
        for i, cell in enumerate(cells):
            frames[0].paste(cell, (i * (cell.width + 6), 0))
        duration = 0
    else:
        with Image.open(names[0]) as image:
            width = min(image.width, int(names[1]) if len(names) > 1 else MAX_WIDTH)
            size = (width, round(image.height * width / image.width))
            frames = [
                frame.convert("RGB").resize(size, Image.Resampling.LANCZOS) for frame in ImageSequence.Iterator(image)
            ]
            duration = image.info.get("duration", 0)
    for quality in QUALITIES:
        frames[0].save(
            target, save_all=True, append_images=frames[1:], duration=duration, loop=0, quality=quality, method=6
        )
        if target.stat().st_size <= MAX_BYTES:
            return
    sys.exit(f"{target} is larger than {MAX_BYTES} bytes: show less")


if __name__ == "__main__":
    main()
