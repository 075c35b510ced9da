"""The rows of a table for the command that edits: a set of stimuli."""

import json
from pathlib import Path

from faceedit.cli.app import STANDARD, progress_bar, refuse_existing, say, spinner
from faceedit.cli.report import print_result, tell_outcome
from faceedit.errors import BatchError, FaceEditError, UsageError


def edit_table(
    table: Path, folder: Path | None, embedder: str, overwrite: bool, weights: str, device: str, as_json: bool
) -> None:
    """Edit the rows of a table of targets into a folder, and print what became of each."""
    if folder is None:
        raise UsageError("name the folder for the results of --targets with -o")
    if str(table) == STANDARD:
        raise UsageError("- stands for one photo: name the file of the table, beside which the photos lie")
    refuse_existing(folder, folder.is_dir())
    with spinner("loading the networks"):
        from faceedit.editing.stimuli import RESULTS_FILE, make_stimuli, read_stimuli

        stimuli = read_stimuli(table)
        from faceedit.editing.editor import FaceEditor
        from faceedit.faces.identity import FaceEmbedder

        editor = FaceEditor.from_pretrained(weights, device)
        embed = None if embedder == "off" else FaceEmbedder(embedder, editor.device)
    skipped = failed = 0
    with progress_bar("edits") as progress:
        task = progress.add_task("editing", total=len(stimuli))
        for stimulus, outcome in make_stimuli(editor, stimuli, folder, embed, overwrite):
            output = str(folder / stimulus.output)
            shown: dict[str, object] = {}
            if outcome is None:
                skipped += 1
            else:
                failed += isinstance(outcome, FaceEditError)
                shown = tell_outcome(stimulus.photo, outcome)
            if as_json and shown:
                print_result(json.dumps({"input": str(stimulus.photo), "output": output, **shown}))
            elif "faces" in shown:
                print_result(output)
            progress.advance(task)
    if skipped:
        say(f"made by an earlier run: {skipped}")
    print_result(str(folder / RESULTS_FILE))
    if failed:
        raise BatchError(f"{failed} of {len(stimuli)} rows failed: see the column error of {folder / RESULTS_FILE}")
