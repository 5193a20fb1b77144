"""Writing files so that an interruption or a full disk never spoils what was there before."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

try:
    import fcntl
except ModuleNotFoundError:  # Windows: detectors work there; two writers of one ledger do not take turns
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from torch import Tensor


def as_path(path: str | os.PathLike[str], what: str = "path") -> Path:
    """A path as a person types, drags or pastes it.

    "~" is the home folder. Where nothing lies at the path to the letter, it is tried without blanks or quotation
    marks around it, without the backslashes of a shell, with slashes for those of Windows, with variables such as $HOME
    filled in, as a file:// address, and with accents in their other Unicode form (macOS writes them apart from their
    letter).

    Args:
        path: absolute, or relative to the working directory.
        what: what it is the path of, for the error.

    Returns:
        The first of these at which something lies; else, for a new file, the first whose folder is there; else the
        path as given.

    Raises:
        TypeError: it is no path. ValueError: it is empty, or holds a character that no path has.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(f"{what} is {path!r}; expected text or a pathlib.Path, e.g. '~/parts'.")
    text = os.fspath(path)
    if not text.strip() or "\0" in text:
        raise ValueError(f"{what} is {text!r}; expected the path of a file or folder, e.g. '~/parts'.")
    literal = Path(os.path.expanduser(text))
    if os.path.exists(literal):
        return literal
    trimmed = text.strip().strip("\"'“”‘’").strip()
    unescaped, slashes = re.sub(r"\\(.)", r"\1", trimmed), trimmed.replace("\\", "/")
    candidates = [trimmed, unescaped, slashes, os.path.expandvars(trimmed)]
    if trimmed.lower().startswith("file:"):  # with one slash, too: pathlib drops the others
        candidates.append(unquote(urlsplit(trimmed).path))
    candidates += [
        unicodedata.normalize(form, each) for form in ("NFC", "NFD") for each in [text, *candidates]
    ]
    paths = [literal, *(Path(os.path.expanduser(each)) for each in candidates if each)]
    there = next((each for each in paths if os.path.exists(each)), None)
    # A new file goes into a folder that is there, rather than into a new one by the name of "file:" or "$HOME".
    new = (each for each in paths if each.parent != Path() and os.path.isdir(each.parent))
    return there or next(new, literal)


def write_atomic(path: str | Path, data: str | bytes) -> Path:
    """Write a whole file or nothing: a temporary neighbour is written, flushed to disk and renamed.

    Args:
        path: where the file shall be; missing folders are made. Of a link, where it leads. What is there and no file,
            such as a pipe or /dev/stdout, is written into and stays what it is.
        data: text (written as UTF-8) or bytes.

    Returns:
        The path.

    Raises:
        OSError: the file could not be written (disk full, no permission); an older file at `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode("utf-8") if isinstance(data, str) else data
    # Where standard output is redirected, /dev/stdout is a file; as root it would be replaced for everybody.
    if path.exists() and not path.is_dir() and (not path.is_file() or path.is_relative_to("/dev")):
        with open(path, "ab") as stream:
            stream.write(payload)
        return path
    final = Path(os.path.realpath(path)) if path.is_symlink() else path
    # Not mkstemp, whose files only their owner can read: a web server has to read the pages.
    temporary = final.parent / f".{final.name}.{secrets.token_hex(4)}"
    try:
        with open(temporary, "xb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(
            error.errno,
            f"could not write {path} ({len(payload):,} bytes): {error.strerror}. "
            "What was there before is unchanged; free some space or choose another place",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _lock(file: BinaryIO) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold a lock file while the context lasts; whoever else asks for it on this machine waits.

    Args:
        path: the lock file; made, with its folders, if missing, and left there.

    Raises:
        OSError: it cannot be made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        _lock(file)
        yield


def append_line(path: str | Path, line: str, unless: Callable[[BinaryIO], bool] | None = None) -> bool:
    """Append one line to a text file under a lock: the whole line, or nothing.

    Two writers on one machine take turns. A torn last line left by a killed writer is closed with a
    line break first, so that it spoils only itself. If the disk fills up half-way the file is cut
    back to what it was.

    Args:
        path: the file; made, with its folders, if missing.
        line: text without a line break.
        unless: called with the file under the lock, to read it; True means that nothing is appended.

    Returns:
        Whether the line was appended.

    Raises:
        ValueError: the text holds a line break.
        OSError: it could not be written; the file is as before.
    """
    if "\n" in line:
        raise ValueError(f"a line of {path} must not hold a line break: {line[:60]!r}… Encode it first.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unbuffered: closing a buffered file writes once more what a full disk has just refused.
    with open(path, "a+b", buffering=0) as file:
        _lock(file)
        if unless is not None and unless(file):
            return False
        size = file.seek(0, os.SEEK_END)
        torn = False
        if size:
            file.seek(size - 1)
            torn = file.read(1) != b"\n"
        payload = (b"\n" if torn else b"") + line.encode("utf-8") + b"\n"
        try:
            while payload:  # a disk that is nearly full takes a part and says so by the count alone
                payload = payload[file.write(payload) :]
            os.fsync(file.fileno())
        except OSError as error:
            os.ftruncate(file.fileno(), size)
            raise OSError(
                error.errno, f"could not append to {path}: {error.strerror}. The file is as it was before"
            ) from error
    return True


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Write tensors and string metadata as one safetensors file, atomically, with a digest that `read_tensors` checks.

    Args:
        path: the file, by habit `*.safetensors`.
        tensors: name -> tensor of any shape and dtype, on any device.
        metadata: name -> text (JSON for anything structured).

    Returns:
        The path.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return write_atomic(as_path(path), save(plain, metadata={**metadata, DIGEST: _digest(plain, metadata)}))


DIGEST = "sha256"  # the name of the digest among a file's metadata


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """64 hex digits of names, types, shapes and values, and of the other metadata."""
    import torch

    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Returns:
        The tensors by name (on the CPU, any shape) and the metadata.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, a truncated one, or one that was changed after it was written.
    """
    from safetensors import SafetensorError, safe_open

    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}. Save one with detector.save({path.name!r}).")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a readable safetensors file ({error}). "
            "It is truncated or of another kind; save it again."
        ) from error
    digest = metadata.pop(DIGEST, None)  # files of earlier versions have none
    if digest is not None and digest != _digest(tensors, metadata):
        raise ValueError(
            f"{path} was changed after it was written: its content does not fit its SHA-256. Save it again, or take a "
            "copy that is whole."
        )
    return tensors, metadata
