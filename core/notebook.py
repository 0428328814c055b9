"""From a notebook: open a dictionary as the app does, and open the app on one.

from core import load_dictionary, open_in_app
dictionary = load_dictionary("path/to/folder")     # or "demo/layer0-standard-2048", or a sae-lens SAE
app = open_in_app(dictionary, page="positions")    # a link; app.stop() ends it
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.characters import whole
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import open_dictionary, sources
from core.errors import BadSettingError, LoupeError, UnknownNameError
from core.installation import APP, PROJECT, START_FOLDER, cache_folder
from core.work.artifacts import ArtifactStore
from core.work.temporary import temporary_folder
from core.workspace import Workspace, is_there, no_such_path, pinned_text

_PATIENCE_S = 60.0


class AppError(LoupeError):
    """The app could not be started."""


def load_dictionary(source: Any, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open a dictionary by its id in the app, by its folder's path, or from a sae-lens SAE in memory.

    A dictionary is this project's word for a sparse autoencoder (SAE). Paths need not lie below the app's roots,
    because a notebook may read any file. Settings that the files lack follow the path:
    "weights.pt#k=32&hook_name=blocks.8.hook_resid_post". The result's `origin` says how the files were read;
    printing the result shows it. Raises a LoupeError that says what is wrong with the id or the files.
    """
    if isinstance(source, Dictionary):
        return source
    if hasattr(source, "state_dict") and hasattr(source, "cfg") and hasattr(source, "save_model"):
        return from_sae(source, fold_decoder_norms=fold_decoder_norms)
    if not isinstance(source, str | os.PathLike):
        first = " It may be the first of these." if isinstance(source, tuple) and source else ""
        raise BadSettingError(
            f"load_dictionary was given {type(source).__name__} {str(source)[:100]!r}. Expected an id such as "
            f"demo/layer0-standard-2048, the path of a folder or file, or a sae-lens SAE. Pass one of these.{first}"
        )
    text = os.fspath(source)
    if not text.strip():
        raise BadSettingError("load_dictionary was given an empty path. Expected an id or a path; '.' is this folder.")
    if text.partition("/")[0] in sources() and not is_there(Path(text)):
        return open_dictionary(text, Workspace(), fold_decoder_norms=fold_decoder_norms)
    place, key = pinned_text(text)
    if not is_there(place):
        raise no_such_path(text, place)
    return open_dictionary(f"folder/{key}", Workspace(pinned=(place,)), fold_decoder_norms=fold_decoder_norms)


def from_sae(sae: Any, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Copy the weights of a sae-lens SAE into a dictionary; the SAE does not change.

    A training class is copied in its inference form, as sae-lens saves it for others.
    """
    hook_name = sae.cfg.metadata.hook_name
    if not hook_name:
        raise BadSettingError(
            f"The {type(sae).__name__} in memory does not say which hook it reads. Expected a name such as "
            "blocks.8.hook_resid_pre; set sae.cfg.metadata.hook_name, and model_name beside it."
        )
    save = getattr(sae, "save_inference_model", sae.save_model)
    with temporary_folder() as folder:
        save(str(folder))
        try:
            dictionary = load_dictionary(folder, fold_decoder_norms=fold_decoder_norms)
        except LoupeError as error:  # nobody knows the folder, which is gone by then
            named = f"the {type(sae).__name__} in memory"
            error.args = tuple(re.sub(rf"{re.escape(str(folder))}(/[\w.]+)?", named, str(said)) for said in error.args)
            raise
    dictionary.id = f"memory/{dictionary.sha256[:16]}"
    dictionary.title = f"{sae.cfg.architecture()} · {hook_name} · {dictionary.d_sae:,}"
    return dictionary


@dataclass(frozen=True)
class App:
    """A running app; its page opens in a browser under `url`, on this machine only."""

    url: str
    process: subprocess.Popen = field(repr=False)

    def stop(self) -> None:
        """End the app."""
        self.process.terminate()
        self.process.wait(timeout=20)

    def _repr_html_(self) -> str:
        return f'<a href="{self.url}" target="_blank">Open SAE Loupe</a> ({self.url})'


def open_in_app(*saes: Any, page: str | None = None, port: int | None = None, model: Path | None = None) -> App:
    """Start the app with dictionaries (paths, or dictionaries and sae-lens SAEs in memory); return the running app.

    Dictionaries in memory are saved below cache/notebook, named by their content. `page` is a page's name in the
    address; `model` is the folder of the model that the dictionaries belong to. Raises UnknownNameError for a page that
    is not there, and AppError, with the app's output, if the app does not start.
    """
    pages = sorted(path.stem for path in (PROJECT / "pages").glob("*.py"))
    if page is not None and page not in pages:
        raise UnknownNameError("page", str(page), pages)
    port = port or _free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(APP)]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true", "--"]
    for sae in saes:
        command += ["--sae", _folder_of(sae)]
    command += ["--page", page] if page else []
    command += ["--model", str(Path(model).expanduser().resolve())] if model else []
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=START_FOLDER, stdout=log, stderr=subprocess.STDOUT)
        url = f"http://127.0.0.1:{port}"
        if not _answers(url, process):
            process.kill()
            log.seek(0)
            raise AppError(
                f"The app did not answer on {url} within {_PATIENCE_S:.0f} s. Expected it to start; it printed: "
                f"{log.read()[-2000:].decode(errors='replace')} Try another port."
            )
    return App(url, process)


def _folder_of(sae: Any) -> str:
    """Return the folder to open, with its settings. A dictionary in memory is first saved to a new folder."""
    if hasattr(sae, "save_model"):
        sae = from_sae(sae, fold_decoder_norms=False)
    if not isinstance(sae, Dictionary):
        place, key = pinned_text(str(sae))
        if not is_there(place):
            raise AppError(
                f"There is no folder {whole(str(place)[:300])}. Expected one that holds a dictionary; check the path."
            )
        return key
    folder = ArtifactStore(cache_folder()).saved_by_notebook(sae.sha256)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.parent) as fresh:
            sae.save(fresh / "sae")
            (fresh / "sae").rename(folder)
    return str(folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _answers(url: str, process: subprocess.Popen) -> bool:
    """Wait until the app answers. Return False if it stops or takes too long."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False
