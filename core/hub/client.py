"""Asking the hub: sizes, listings, files and parts of files, each failure with its own message.

Every function here makes requests, so it is called only when a person asked for it. Waiting is short:
a hub that is away says so within seconds.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from core.errors import HubAccessError, HubBusyError, HubDamagedError, HubError, HubNotFoundError, HubUnreachableError
from core.hub import cache as hub_cache
from core.hub.cache import HubFolder

CONNECT_S, READ_S = 5.0, 20.0
WAITS_S = (0.5, 2.0)
"""Pauses before a request is tried again, after an answer that may pass (429 and 5xx)."""
TRIES = 4
"""How many connections in a row may bring nothing before a download gives up."""
REACH_S = 3.0
CHUNK = 1 << 20
_REDIRECTS = 5


@dataclass(frozen=True)
class HubFile:
    """One file as the hub describes it before anything of it is fetched."""

    repository: str
    path: str
    commit: str
    nbytes: int
    etag: str
    """SHA-256 of large files, git's SHA-1 of small ones."""


def check_reachable() -> None:
    """Raise HubUnreachableError unless the hub answers anything at all within a few seconds."""
    with _answer("HEAD", endpoint(), timeout=(REACH_S, REACH_S), tries=1, check=False):
        pass


def endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT.rstrip("/")


def file_url(repository: str, path: str, revision: str) -> str:
    return f"{endpoint()}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"


def describe(repository: str, path: str, revision: str = hub_cache.MAIN) -> HubFile:
    """Ask for size, hash and commit of a file."""
    assert hub_cache.is_inside(path), path
    url = file_url(repository, path, revision)
    headers = _described(url)
    commit, size = headers.get("x-repo-commit", ""), headers.get("x-linked-size") or headers.get("content-length", "")
    etag = (headers.get("x-linked-etag") or headers.get("etag", "")).removeprefix("W/").strip('"')
    known = hub_cache.blob_path(repository, etag) is not None
    if not (re.fullmatch("[0-9a-f]{40}", commit) and size.isdecimal() and known):
        raise HubDamagedError(
            f"{url} was described with commit {commit[:50]!r}, size {size[:50]!r} and hash {etag[:80]!r}; expected all "
            "three, as the hub sends them. Check HF_ENDPOINT, a proxy may be answering in the hub's place."
        )
    return HubFile(repository, path, commit, int(size), etag)


def _described(url: str) -> dict[str, str]:
    """Return the headers of a HEAD request in lower case; what the hub says before a redirect holds."""
    found: dict[str, str] = {}
    for _ in range(_REDIRECTS):
        with _answer("HEAD", url, headers={"Accept-Encoding": "identity"}, redirects=False) as response:
            redirected = 300 <= response.status_code < 400
            said = {name.lower(): value for name, value in response.headers.items()}
        # A redirect's own length is not the file's.
        found = {k: v for k, v in said.items() if not redirected or k.startswith("x-")} | found
        target = urljoin(url, said.get("location", "")) if redirected else url
        # A renamed repository is followed; the storage behind a large file would not tell the commit.
        if urlsplit(target).netloc != urlsplit(url).netloc or target == url:
            break
        url = target
    return found


def list_folder(folder: HubFolder) -> list[tuple[str, int]]:
    """Return path and bytes of the files that lie directly in a folder of a repository."""
    where = "/".join(part for part in (quote(folder.revision, safe=""), quote(folder.path)) if part)
    url: str | None = f"{endpoint()}/api/models/{folder.repository}/tree/{where}?recursive=false"
    found: list[tuple[str, int]] = []
    while url:
        with _answer("GET", url) as response:
            try:
                items = response.json()
                found += [(item["path"], int(item["size"])) for item in items if item["type"] == "file"]
            except (ValueError, KeyError, TypeError) as error:
                raise HubDamagedError(
                    f"{url} did not give a list of files ({type(error).__name__}). Expected the hub's JSON; "
                    "check HF_ENDPOINT, a proxy may be answering in the hub's place."
                ) from error
            url = response.links.get("next", {}).get("url")
    return [(path, size) for path, size in found if isinstance(path, str) and hub_cache.is_inside(path)]


def describe_dataset(repository: str, revision: str = hub_cache.MAIN) -> tuple[str, str]:
    """Ask for the present name of a dataset (old ones are redirected) and the commit that a revision stands for."""
    url = f"{endpoint()}/api/datasets/{repository}/revision/{quote(revision, safe='')}"
    with _answer("GET", url) as response:
        try:
            name, commit = response.json()["id"], response.json()["sha"]
            known = hub_cache.is_repository(name) and "/" in name and re.fullmatch("[0-9a-f]{40}", commit)
        except (ValueError, KeyError, TypeError):
            known = None
    if not known:
        raise HubDamagedError(
            f"{url} did not name a dataset and its commit. Expected the hub's JSON; check HF_ENDPOINT, a proxy may be "
            "answering in the hub's place."
        )
    return name, commit


def read_range(file: HubFile, start: int, stop: int) -> bytes:
    """Return the bytes start to stop of a file (stop not included)."""
    assert 0 <= start < stop <= file.nbytes, (start, stop, file.nbytes)
    return b"".join(stream(file, start, stop))


def stream(file: HubFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the bytes start to stop of a file in pieces, connecting again where a connection breaks off.

    Raises RangeRefusedError when it must begin elsewhere than at 0 and the hub gives no parts of files,
    HubDamagedError when connection after connection brings nothing.
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
                "Expected all of them; press Download to go on from there."
            )


def _one_connection(file: HubFile, start: int, stop: int) -> Iterator[bytes]:
    whole = (start, stop) == (0, file.nbytes)
    headers = {"Accept-Encoding": "identity"} | ({} if whole else {"Range": f"bytes={start}-{stop - 1}"})
    with _answer("GET", file_url(file.repository, file.path, file.commit), headers=headers, stream=True) as response:
        if not whole and response.status_code != 206:
            raise RangeRefusedError(
                f"The hub sends {file.path} of {file.repository} only as a whole (status {response.status_code} for "
                "a part of it); expected status 206. Download the whole file."
            )
        yield from _pieces(response, stop - start)


class RangeRefusedError(HubError):
    """The hub, or a proxy before it, does not give parts of files."""


def _pieces(response, expected: int) -> Iterator[bytes]:
    import requests

    left = expected
    # What broke off is fetched again from where it broke, so it is no error here.
    try:
        for piece in response.iter_content(CHUNK):
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return
    except (requests.RequestException, OSError):
        return


@contextmanager
def _answer(
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    timeout: tuple[float, float] | None = None,
    tries: int | None = None,
    redirects: bool = True,
    stream: bool = False,
    check: bool = True,
):
    """Send one request, again after answers that may pass, and close what it opened."""
    import requests
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers

    if constants.HF_HUB_OFFLINE:
        raise HubUnreachableError(
            "HF_HUB_OFFLINE is set, so the hub is not asked. Expected it unset to download; restart without it."
        )
    how = {"headers": build_hf_headers() | (headers or {}), "timeout": timeout or (CONNECT_S, READ_S), "stream": stream}
    waits = WAITS_S[: tries - 1] if tries else WAITS_S
    for wait in (*waits, None):
        try:
            response = requests.request(method, url, allow_redirects=redirects, **how)
        except requests.RequestException as error:
            raise HubUnreachableError(
                f"{urlsplit(url).netloc} did not answer ({type(error).__name__}). Expected the hub there; check the "
                "network, proxy and HF_ENDPOINT, and try again. What is downloaded already opens without it."
            ) from error
        if wait is None or not (response.status_code == 429 or response.status_code >= 500):
            break
        response.close()
        time.sleep(wait)
    with response:
        if check:
            raise_for_status(response)
        yield response


def raise_for_status(response) -> None:
    """Raise the HubError that fits a status of 400 or more."""
    status = response.status_code
    if status < 400:
        return
    code = response.headers.get("X-Error-Code", "")
    said = f"{urlsplit(response.url).path[:300]}: status {status}" + (f", {code[:40]}" if code else "")
    if status in (401, 403) or code == "GatedRepo":
        raise HubAccessError(
            f"The hub refuses {said}. Expected a public repository, or an account that may read it: accept its terms "
            "on its page if it is gated, log in with `hf auth login`, and check the name: the hub also answers so "
            "for repositories that do not exist."
        )
    if status == 429 or status >= 500:
        raise HubBusyError(
            f"The hub cannot answer now ({said}), also after waiting. Expected the file; try again in some minutes."
        )
    raise HubNotFoundError(
        f"The hub has nothing there ({said}). Expected a repository, revision and file that exist; "
        "check the names on the hub's page."
    )
