"""Where a search is, from what the user says: `--storage` and `--name`, or its folder or URI."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from search.log.folder import EVENTS, SearchFolder
from trainable.cache.files import user_path
from trainable.errors import InputError, did_you_mean

_SECRET = re.compile(r"secret|token|password|^sig$", re.IGNORECASE)  # of a URI's options


def split(given: str) -> tuple[str, str]:
    """Return storage and name of a search whose folder or URI is given.

    `?` begins the options of a URI; in the name of a folder it is a character like any other.
    """
    if "://" not in given:
        folder = user_path(given)
        return str(folder.parent), folder.name
    path, mark, query = given.partition("?")
    storage, _, name = path.rstrip("/").rpartition("/")
    return f"{storage}{mark}{query}", name


def named_folder(given: str, storage: str) -> SearchFolder:
    """Return the folder of a search that is there.

    Args:
        given: Its name below `storage`, or its own folder or URI, which has a slash.
        storage: Folder or URI of searches.

    Raises:
        InputError: There is no such search; the URI holds a secret.
    """
    return find_folder(*(split(given) if "/" in given else (storage, given)), resume=True)


def named_below_runs(given: str) -> Path | None:
    """Return the folder of a search in the default storage, if a path that is not there names it.

    Where a path may mean more than a search, its name alone does not stand for it; a message can
    say what does.
    """
    folder = Path("runs", given)
    return folder if (folder / EVENTS).is_file() else None


def find_folder(storage: str, name: str, *, resume: bool) -> SearchFolder:
    """Return the folder of a new search, or of one to be resumed; nothing is made.

    Raises:
        InputError: The search exists without --resume, or does not exist or has not begun with it;
            the URI holds a secret.
    """
    if "://" in storage:
        _refuse_secrets(storage)
        # One folder for each URI: searches of one name in two storages are two searches.
        own = hashlib.sha256(storage.encode()).hexdigest()[:12]
        local = Path(tempfile.gettempdir()) / f"searches-{os.getuid()}" / own / name
        folder = SearchFolder(name, storage, local)
    else:
        path = user_path(storage)
        folder = SearchFolder(name, str(path), path / name)
    exists = folder.has_log()
    if resume and not exists and os.path.isdir(folder.local):
        raise InputError(
            f"nothing has begun in {folder.uri}: it has no {EVENTS} yet; start the search without "
            f"--resume"
        )
    if resume and not exists:
        raise InputError(f"there is no search {name!r} in {folder.storage}{_nearest(folder)}")
    if exists and not resume:
        raise InputError(
            f"the search {folder.uri} exists; go on with it by --resume, or choose another --name"
        )
    return folder


def _refuse_secrets(uri: str) -> None:
    """Refuse keys in a URI: it is written to the log, and sent to every trial."""
    parts = urlsplit(uri)
    secrets = [key for key, _ in parse_qsl(parts.query) if _SECRET.search(key)]
    if parts.password is not None or secrets:
        what = ", ".join(secrets) or "a password"
        raise InputError(
            f"--storage {parts.scheme}://...: the URI holds {what}, which would be written to the "
            f"log; give nodes a role, or the keys by environment variables (for S3 "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )


def _nearest(folder: SearchFolder) -> str:
    parent = Path(folder.storage)
    if folder.is_copied or not parent.is_dir():
        return ""
    return did_you_mean(folder.name, [p.parent.name for p in parent.glob(f"*/{EVENTS}")])
