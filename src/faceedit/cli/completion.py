"""What the shell offers for the values of options."""

from pathlib import Path

from faceedit.kinds import KINDS


def emotion_names(incomplete: str) -> list[str]:
    """The emotions, and steps such as "happier", that begin so."""
    from faceedit.circumplex import EMOTIONS, MORE

    return [name for name in (*EMOTIONS, *MORE) if name.startswith(incomplete.lower())]


def editor_weights(incomplete: str) -> list[str]:
    """Published weights of editors that begin so, and .safetensors files."""
    import json

    from safetensors import safe_open

    from faceedit.hub import FOLDERS
    from faceedit.weights import HEADER_KEY

    names = []
    for path in sorted(path for folder in FOLDERS for path in folder.glob(f"{incomplete}*.safetensors")):
        with safe_open(path, "np") as file:
            if KINDS[json.loads(file.metadata()[HEADER_KEY])["kind"]].backend is not None:
                names.append(path.stem)
    return names + _paths(incomplete, (".safetensors",))


def photo_outputs(incomplete: str) -> list[str]:
    """Folders and files, and the name that was begun with each ending that photos are written with."""
    from faceedit.media.formats import WRITE_FORMATS

    return _outputs(incomplete, tuple(WRITE_FORMATS))


def animation_outputs(incomplete: str) -> list[str]:
    """Likewise with the endings of animations."""
    from faceedit.media.animation import SUFFIXES

    return _outputs(incomplete, SUFFIXES)


def _outputs(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    stem, dot, begun = incomplete.rpartition(".")
    named = [f"{stem}{suffix}" for suffix in suffixes if suffix.startswith(dot + begun)] if stem and dot else []
    return list(dict.fromkeys(named + _paths(incomplete, suffixes)))


def _paths(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Folders, and files with these endings, whose path begins so."""
    folder = Path(incomplete if incomplete.endswith("/") else Path(incomplete).parent)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    shown = [f"{path}/" if path.is_dir() else str(path) for path in found if path.is_dir() or path.suffix in suffixes]
    return [name for name in shown if name.startswith(incomplete)]
