"""Where this code lies: in a checkout of the repository, or installed as the package sae_loupe; and its version."""

import os
from pathlib import Path

import platformdirs

APP_VERSION = "0.1.0"
"""The one place that says it: the build, the documents and all provenance read it here."""

PROJECT = Path(__file__).resolve().parents[1]
"""The folder that holds core/, ui/, pages/ and demo/: the repository, or sae_loupe/ among installed packages."""
CHECKOUT = (PROJECT / "pyproject.toml").is_file()
"""Whether that folder is the repository. The wheel holds no pyproject.toml."""
START_FOLDER = PROJECT if CHECKOUT else PROJECT / "server"
"""Where processes of ours begin. Python, or Streamlit, puts this folder first on its path: in the repository it holds
core/ and ui/; in the wheel app.py alone, as names such as sae_loupe/text.py must hide nobody's modules."""
APP = START_FOLDER / "app.py"
"""What `streamlit run` runs."""


def cache_folder() -> Path:
    """Return where results go by default: cache/ of a checkout that can be written, else the user's cache folder."""
    own = PROJECT / "cache"
    return own if CHECKOUT and os.access(own if own.exists() else PROJECT, os.W_OK) else _users("user_cache_path")


def notes_folder() -> Path:
    """Return where notes go by default: notes/ of a checkout that can be written, else the user's data folder."""
    own = PROJECT / "notes"
    return own if CHECKOUT and os.access(own if own.exists() else PROJECT, os.W_OK) else _users("user_data_path")


def runs_folder() -> Path:
    """Return where training runs go by default: beside the notes of a checkout, else within the user's data folder."""
    notes = notes_folder()
    return notes.with_name("runs") if notes == PROJECT / "notes" else notes / "runs"


def readable_folder() -> Path:
    """Return the folder below which typed paths may lie by default: the checkout, else the present folder.

    Installed code has no folder with files of the person's own. Where the present folder is the root of all files, as
    for a service, only what is installed can be read.
    """
    here = Path.cwd()
    return PROJECT if CHECKOUT or here == here.parent else here


def started_with(options: str) -> str:
    """Return the command, in backticks, that starts the app with these options: `sae-loupe --root FOLDER`."""
    return f"`streamlit run app.py -- {options}`" if CHECKOUT else f"`sae-loupe {options}`"


def importable(module: str) -> str:
    """Return the name by which Python finds a module of ours here: core.training, or sae_loupe.core.training.

    The build changes imports, and no text. So a text that a person or a process runs asks here.
    """
    return __name__.rpartition("core.")[0] + module


def _users(kind: str) -> Path:
    return getattr(platformdirs, kind)("sae-loupe", appauthor=False)
