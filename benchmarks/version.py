"""One version of faceedit in a process of its own: python version.py SRC, then a task a line; prints seconds.

It also drives version 0.1, whose modules lie elsewhere.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from faceedit import FaceEditor, batch

try:
    from faceedit import Request
    from faceedit.editing.photo import edit_photo
    from faceedit.media.image import read_photo, write_photo

    def edited(photo):
        return edit_photo(editor, photo, [("largest", Request(emotion="sad"))]).photo

    def detect(pixels):
        return editor.detect(pixels, largest=True)

except ImportError:
    from faceedit.image import read_photo, write_photo
    from faceedit.provenance import COMPOSITE, declared

    def edited(photo):
        return declared(photo.with_pixels(editor.edit(photo.pixels, emotion="sad")), COMPOSITE, editor.weights, "sad")

    def detect(pixels):
        return editor.detect(pixels)


def run_folder(folder: Path, output: Path) -> None:
    jobs = batch.plan(batch.find_photos([str(folder)]), "edited", output=output, overwrite=True)
    for job, outcome in batch.run(jobs, lambda photo: (edited(photo), {})):
        if outcome:
            raise RuntimeError(f"{job.photo} failed: {outcome}")


editor = FaceEditor.from_pretrained(device=sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    task, source, output = line.rstrip("\n").split("\t")
    photo = read_photo(Path(source)) if task == "detect" else None
    start = time.perf_counter()
    if photo is not None:
        detect(photo.pixels)
    elif task == "edit":
        result = edited(read_photo(Path(source)))
        Path(output).unlink(missing_ok=True)
        write_photo(Path(output), result)
    else:
        run_folder(Path(source), Path(output))
    print(time.perf_counter() - start, flush=True)
