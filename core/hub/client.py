"""Requests to the hub: sizes, listings, files and parts of files. Each failure has its own message.

Every function here makes requests, so it is called only when a person asked for it. Timeouts are short: if the hub
is not reachable, the error comes within seconds. Requests go through huggingface_hub's own session. Two of its
functions are not used: its listing waits for ever when the hub stalls, and its reader of safetensors headers fetches
the whole file if the hub does not serve parts.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlsplit

from core.errors import HubAccessError, HubBusyError, HubDamagedError, HubError, HubNotFoundError, HubUnreachableError
from core.hub import cache
from core.hub.cache import HubFolder

CONNECT_S, READ_S = 5.0, 20.0
WAITS_S = (0.5, 2.0)
"""Seconds to wait before each new attempt, after a temporary failure (429, 5xx) or a broken connection."""
TRIES = 4
"""A download gives up after this many connections in a row that bring no data."""
REACH_S = 3.0
CHUNK = 1 << 20
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class HubFile:
    """One file as the hub describes it before the download."""

    repository: str
    path: str
    commit: str
    nbytes: int
    etag: str
    """SHA-256 for large files, git's SHA-1 for small ones."""


def check_reachable() -> None:
    """Raise HubUnreachableError unless the hub answers anything at all within a few seconds."""
    from huggingface_hub.utils import get_session

    _ask(endpoint(), lambda: get_session().head(endpoint(), timeout=REACH_S), again=False)


def endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT.rstrip("/")


def file_url(repository: str, path: str, revision: str) -> str:
    return f"{endpoint()}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"


def describe(repository: str, path: str, revision: str = cache.MAIN) -> HubFile:
    """Ask the hub for size, hash and commit of a file. Large files lie on another server, which is not asked.

    Raises HubError.
    """
    from huggingface_hub import get_hf_file_metadata

    assert cache.is_inside(path), path
    url = file_url(repository, path, revision)
    said = _ask(url, lambda: get_hf_file_metadata(url, timeout=_timeout()))
    commit, size, etag = said.commit_hash or "", -1 if said.size is None else said.size, said.etag or ""
    known = cache.blob_path(repository, etag) is not None
    if not (re.fullmatch("[0-9a-f]{40}", commit) and size >= 0 and known):
        raise HubDamagedError(
            f"{url} was described with commit {commit[:50]!r}, size {said.size} and hash {etag[:80]!r}; expected all "
            "three, as the hub sends them. Check HF_ENDPOINT: a proxy may answer in place of the hub."
        )
    return HubFile(repository, path, commit, size, etag)


def list_folder(folder: HubFolder) -> list[tuple[str, int]]:
    """Return path and bytes of the files that lie directly in a folder of a repository. Raises HubError."""
    where = "/".join(part for part in (quote(folder.revision, safe=""), quote(folder.path)) if part)
    url: str | None = f"{endpoint()}/api/models/{folder.repository}/tree/{where}?recursive=false"
    files: list[tuple[str, int]] = []
    while url:
        response = _get(url)
        try:
            items = response.json()
            files += [(item["path"], int(item["size"])) for item in items if item["type"] == "file"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HubDamagedError(
                f"{url} did not give a list of files ({type(error).__name__}). Expected the hub's JSON; "
                "check HF_ENDPOINT: a proxy may answer in place of the hub."
            ) from error
        url = response.links.get("next", {}).get("url")
    return [(path, size) for path, size in files if isinstance(path, str) and cache.is_inside(path)]


def describe_dataset(repository: str, revision: str = cache.MAIN) -> tuple[str, str]:
    """Ask for the present name of a dataset (old ones are redirected) and the commit that a revision stands for.

    Raises HubError.
    """
    url = f"{endpoint()}/api/datasets/{repository}/revision/{quote(revision, safe='')}"
    response = _get(url)
    try:
        name, commit = response.json()["id"], response.json()["sha"]
        known = cache.is_repository(name) and "/" in name and re.fullmatch("[0-9a-f]{40}", commit)
    except (ValueError, KeyError, TypeError, RecursionError):
        known = None
    if not known:
        raise HubDamagedError(
            f"{url} did not name a dataset and its commit. Expected the hub's JSON; check HF_ENDPOINT: a proxy may "
            "answer in place of the hub."
        )
    return name, commit


def read_range(file: HubFile, start: int, stop: int) -> bytes:
    """Return the bytes start to stop of a file (stop not included). Raises HubError."""
    assert 0 <= start < stop <= file.nbytes, (start, stop, file.nbytes)
    return b"".join(stream(file, start, stop))


def stream(file: HubFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the bytes start to stop of a file in pieces. Connect again if a connection breaks.

    Raises RangeRefusedError if `start` is not 0 and the hub serves only whole files, and HubDamagedError if several
    connections in a row bring no data.
    """
    stop, tries = file.nbytes if stop is None else stop, TRIES
    while start < stop:
        before = start
        for piece in _one_connection(file, start, stop):
            start += len(piece)
            yield piece
        tries = TRIES if start > before else tries - 1
        if tries == 0:
            raise HubDamagedError(
                f"{file.path} of {file.repository} broke off after {start:,} of {file.nbytes:,} bytes. "
                "Expected all of them; press Download to continue from there."
            )


def _one_connection(file: HubFile, start: int, stop: int) -> Iterator[bytes]:
    whole = (start, stop) == (0, file.nbytes)
    headers = {"Accept-Encoding": "identity"} | ({} if whole else {"Range": f"bytes={start}-{stop - 1}"})
    with _opened(file_url(file.repository, file.path, file.commit), headers) as response:
        if not whole and response.status_code != 206:
            raise RangeRefusedError(
                f"The hub sends {file.path} of {file.repository} only as a whole (status {response.status_code} for "
                "a part of it); expected status 206. Download the whole file."
            )
        yield from _pieces(response, stop - start)


class RangeRefusedError(HubError):
    """The hub, or a proxy in front of it, serves only whole files."""


def _pieces(response, expected: int) -> Iterator[bytes]:
    import httpx2

    left = expected
    # The caller continues at the byte where the connection broke, so this is no error.
    with suppress(httpx2.HTTPError, OSError):
        # iter_bytes(CHUNK) would lose the bytes of an incomplete piece when the connection breaks.
        for received in response.iter_bytes():
            mine = received[:left]
            left -= len(mine)
            yield from (mine[at : at + CHUNK] for at in range(0, len(mine), CHUNK))
            if left == 0:
                return


def _get(url: str):
    """Send a GET and return the whole answer."""
    from huggingface_hub.utils import build_hf_headers, get_session

    def send():
        return get_session().get(url, headers=build_hf_headers(), timeout=_timeout()).raise_for_status()

    return _ask(url, send)


@contextmanager
def _opened(url: str, headers: dict[str, str]):
    """Send a GET, yield the answer with its content still unread, and close it afterwards."""
    from huggingface_hub.utils import build_hf_headers, get_session

    with ExitStack() as opened:

        def send():
            how = {"headers": build_hf_headers(headers=headers), "timeout": _timeout()}
            return opened.enter_context(get_session().stream("GET", url, **how)).raise_for_status()

        yield _ask(url, send)


def _timeout():
    import httpx2

    return httpx2.Timeout(READ_S, connect=CONNECT_S)


def _ask(url: str, send: Callable[[], _Found], *, again: bool = True) -> _Found:
    """Send a request, and again after temporary failures. If it still fails, raise the HubError that fits."""
    import httpx2
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise HubUnreachableError(
            "HF_HUB_OFFLINE is set, so the app makes no requests. Unset it and restart to download."
        )
    for wait in (*(WAITS_S if again else ()), None):
        try:
            return send()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if wait is None or not _may_pass(error):
                raise _refusal(error, url) from error
        time.sleep(wait)
    raise AssertionError("the last pause is None")


def _may_pass(error: Exception) -> bool:
    import httpx2

    # The hub may have closed a connection that was kept from an earlier request.
    if isinstance(error, (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)):
        return True
    response = getattr(error, "response", None)
    return response is not None and (response.status_code == 429 or response.status_code >= 500)


def _refusal(error: Exception, url: str) -> HubError:
    """Return the HubError for an answer with status 400 or more, or for no answer."""
    response = getattr(error, "response", None)
    if response is None:
        return HubUnreachableError(
            f"{urlsplit(url).netloc} did not answer ({type(error).__name__}). Expected the hub there; check the "
            "network, proxy and HF_ENDPOINT, and try again. Downloaded files open without the hub."
        )
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    said = f"{urlsplit(str(response.url)).path[:300]}: status {status}" + (f", {code[:40]}" if code else "")
    if status in (401, 403) or code == "GatedRepo":
        return HubAccessError(
            f"The hub refuses {said}. Expected a public repository, or an account that may read it: accept its terms "
            "on its page if it is gated, log in with `hf auth login`, and check the name: the hub gives the same "
            "answer for repositories that do not exist."
        )
    if status == 429 or status >= 500:
        return HubBusyError(
            f"The hub cannot answer now ({said}), even after several attempts. Try again in a few minutes."
        )
    return HubNotFoundError(
        f"The hub has no such file ({said}). Expected a repository, revision and file that exist; "
        "check the names on the hub's page."
    )
