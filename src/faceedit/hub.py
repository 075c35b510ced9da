"""Where weights are: those that come with the program, and those of a hub of Hugging Face's kind, through
huggingface-hub with its cache and its offline switch. Without torch, which takes seconds to import.
"""

import re
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from faceedit.errors import UsageError, WeightsError, is_url, missing

PREFIX = "hub:"
DEFAULT_FILE = "model.safetensors"
CARD_FILE = "README.md"
REFERENCE = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?(?::([\w./-]+\.safetensors))?")
# A wheel carries the published weights inside the package; a checkout and an editable install have them at the top.
FOLDERS = (Path(__file__).parent / "weights", Path(__file__).parents[2] / "weights")
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """A file of a hub repository, at a revision (branch, tag or commit) or the newest."""

    repository: str
    revision: str | None = None
    file: str = DEFAULT_FILE


def parse(text: str) -> Reference:
    """The reference that `hub:owner/name@revision:file` says; revision and file may be left out. Raises UsageError."""
    match = REFERENCE.fullmatch(text)
    if match is None:
        raise UsageError(f"weights on a hub are named hub:owner/name, with @revision and :file if need be, not {text}")
    repository, revision, file = match.groups()
    return Reference(repository, revision, file or DEFAULT_FILE)


def find_weights(name: str) -> Path:
    """The file of published weights by name (as in `weights/`, without its ending), by path, or on a hub.

    Raises WeightsError, UsageError.
    """
    if name.startswith(PREFIX):
        return fetch(name)
    if is_url(name):
        raise UsageError(f"{name} is a URL: name a file, or a repository as {PREFIX}owner/name")
    if Path(name).suffix == ".safetensors":
        if Path(name).is_file():
            return Path(name)
        raise WeightsError(f"there are no weights at {name}")
    candidates = [folder / f"{name}.safetensors" for folder in FOLDERS]
    for path in candidates:
        if path.is_file():
            return path
    known = sorted({path.stem for folder in FOLDERS for path in folder.glob("*.safetensors")})
    raise WeightsError(f"there are no weights named {name}; known are {', '.join(known) or 'none'}, or give a path")


def published() -> list[tuple[Path, str]]:
    """The published weights that are here, each with its SHA-256, hexadecimal."""
    paths = sorted(path for folder in FOLDERS for path in folder.glob("*.safetensors"))
    return [(path, digest_of(path)) for path in paths]


def fetch(text: str, digest: str | None = None) -> Path:
    """The weights of a reference in the hub's cache, downloaded if they are not there.

    digest: the SHA-256, hexadecimal, that they must have; without one, the hash that the hub itself keeps of a large
    file. With HF_HUB_OFFLINE set, only the cache is used. Raises UsageError, WeightsError.
    """
    reference = parse(text)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        path = Path(hf_hub_download(reference.repository, reference.file, revision=reference.revision))
    except RepositoryNotFoundError as error:
        raise WeightsError(f"the hub has no repository {reference.repository}, or it is private") from error
    except RevisionNotFoundError as error:
        raise WeightsError(f"{reference.repository} has no revision {reference.revision}") from error
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{text} is not in the cache, and the hub cannot be reached") from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{reference.repository} has no file {reference.file}") from error
    except HFValidationError as error:
        raise UsageError(f"{reference.repository} is no name of a repository: {error}") from error
    except Exception as error:  # the client's and its transport's own kinds
        raise WeightsError(f"fetching {text} failed: {_first_line(error)}") from error
    blob = path.resolve()
    wanted = digest.lower() if digest else blob.name  # the cache names a large file by its hash
    if (digest or SHA256.fullmatch(blob.name)) and digest_of(blob) != wanted:
        blob.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise WeightsError(f"what came for {text} has another SHA-256 than {wanted}: it was removed from the cache")
    return path


def push(weights: Path, repository: str, card: Path, private: bool = False) -> str:
    """Upload published weights and their model card to a repository, made if it is not there; the commit's address.

    Needs a token, as `hf auth login` or HF_TOKEN give. Raises UnreadableError for a missing file, UsageError, and
    WeightsError.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HFValidationError

    for path in (weights, card):
        if not path.is_file():
            raise missing(path)
    api = HfApi()
    files = {DEFAULT_FILE: weights, CARD_FILE: card}
    operations = [CommitOperationAdd(name, path) for name, path in files.items()]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(repository, operations, commit_message=f"Upload {weights.stem}")
    except HFValidationError as error:
        raise UsageError(f"{repository} is no name of a repository: {error}") from error
    except Exception as error:  # the client's and its transport's own kinds
        raise WeightsError(f"pushing to {repository} failed: {_first_line(error)}") from error
    return str(commit.commit_url)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
