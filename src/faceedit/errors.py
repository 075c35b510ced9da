"""The errors a user can meet. Each says in one sentence what was wrong, with which file, and what to do."""

import traceback

URL_SCHEMES = ("http", "https", "ftp", "ftps", "sftp", "file", "data", "s3", "gs", "hf")
# What Python, torch and OpenCV say of memory that is full, where the kind of the exception does not.
NO_MEMORY = ("out of memory", "allocate memory", "not enough memory", "Insufficient memory")


class FaceEditError(Exception):
    """Base of all errors meant for a user; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(FaceEditError):
    """A value or a combination of options that makes no sense."""

    exit_code = 2


class ExistsError(UsageError):
    """An output that is there already and was not to be replaced."""

    def __init__(self, path: object):
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} exists, and is not to be replaced"


class RunExistsError(UsageError):
    """A folder that holds a training run already, which was not to be gone on with."""


class NoFaceError(FaceEditError):
    """No face, or not the asked one, was found in a photo."""

    exit_code = 3


class FileError(FaceEditError):
    """An input that cannot be read, or an output that cannot be written."""

    exit_code = 4


class UnreadableError(FileError):
    """An input that cannot be read."""


class UnwritableError(FileError):
    """An output that cannot be written."""


class WeightsError(FaceEditError):
    """Weights or training state that are missing, damaged or do not fit."""

    exit_code = 5


class BatchError(FaceEditError):
    """Some photos of several could not be used; the rest are done."""

    exit_code = 7


class MemoryExhaustedError(FaceEditError):
    """The device ran out of memory."""

    exit_code = 6


class UnexpectedError(FaceEditError):
    """Something unexpected happened."""


def no_upright_face(where: str) -> NoFaceError:
    """No face was found there. Faces that lie on their side, in profile or very small are not."""
    return NoFaceError(
        f"no upright face was found in {where}: turn it until the eyes are on top, or cut it closer to the face"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception that is none of ours tells of too little memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


def sentence(error: Exception) -> str:
    """The first line of what an exception that is none of ours says, or its kind."""
    text = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return text[0] if text else type(error).__name__


def failure(subject: str, error: Exception) -> FaceEditError:
    """An error of one item among many, whatever raised it: one of ours as it is, another as `unexpected` words it."""
    return error if isinstance(error, FaceEditError) else unexpected(subject, error)


def unexpected(subject: str, error: Exception) -> FaceEditError:
    """What an exception that is none of ours means to a user, such as that `subject`, "a.png could not be edited".

    Its traceback is a note of the error; the error holds no frames, and so no photos.
    """
    if is_out_of_memory(error):
        return MemoryExhaustedError(f"{subject}: there is not enough memory for it")
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    ours = UnexpectedError(f"{subject}: {reason}")
    ours.add_note("".join(traceback.format_exception(error)))
    return ours


def is_url(name: str) -> bool:
    """Whether this names what lies on a network, also where it went through a path, which takes a slash from it."""
    scheme, mark, _ = name.partition(":/")
    return bool(mark) and scheme.lower() in URL_SCHEMES


def missing(path: object, what: str = "file") -> UnreadableError:
    """The error that says that there is no such file or folder, or that a URL was given."""
    return UnreadableError(
        f"{path} is a URL: download it and name the {what}" if is_url(str(path)) else f"there is no {what} {path}"
    )
