"""A workspace on disk with one model and one dictionary in which feature 3 follows position 2."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.doubles.planted import MODEL_NAME, planted_dictionary, planted_model

D, N_CTX, C = 8, 12, 6
POSITIONAL, PEAK, NEWCOMER, NEWCOMER_PEAK = 3, 2, 5, 9
"""Feature 3 peaks at position 2 and feature 5 at position 9, past the training context; others follow tokens."""


def write_workspace(
    root: Path, *, hook_name: str = "blocks.0.hook_resid_pre", positional: str = "standard", scale: float = 1.0
) -> Path:
    """Write `root/planted` (the model) and `root/dictionary`; tokens use dimensions 0 to 5, positions 6 and 7.

    `scale` multiplies what the two positional features read.
    """
    rng = np.random.default_rng(0)
    W_E = np.zeros((257, D))
    W_E[:, :6] = rng.normal(size=(257, 6))
    tensors = {"embed.W_E": W_E}
    if positional == "standard":
        W_pos = np.zeros((N_CTX, D))
        W_pos[PEAK, 6], W_pos[PEAK + 1, 6] = 2.0, 1.0
        W_pos[NEWCOMER_PEAK, 7] = 3.0
        tensors["pos_embed.W_pos"] = W_pos
    planted_model(root, positional=positional, n_ctx=N_CTX, tensors=tensors)
    W_enc = np.zeros((D, 12))
    W_enc[:6] = rng.normal(size=(6, 12))
    W_enc[:, [POSITIONAL, NEWCOMER]] = 0
    W_enc[6, POSITIONAL] = W_enc[7, NEWCOMER] = scale
    b_enc = np.full(12, -6.0)  # token features fire on few tokens
    b_enc[[POSITIONAL, NEWCOMER]] = -0.5
    dictionary = planted_dictionary(
        hook_name=hook_name,
        context_size=C,
        tensors={"W_enc": W_enc, "W_dec": W_enc.T, "b_enc": b_enc, "b_dec": np.zeros(D)},
    )
    folder = root / "dictionary"
    shutil.rmtree(folder, ignore_errors=True)
    dictionary.save(folder)
    return folder


def count_no_text(monkeypatch) -> None:
    """Let feature i be active on i of 100 tokens, without reading any."""
    from ui.studies import opened

    def token_pass(id: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(density=np.arange(opened.dictionary(id).d_sae) / 100, note="100 tokens")

    monkeypatch.setattr("ui.studies.token_pass.token_pass", token_pass)


def read_little_text(monkeypatch) -> None:
    """Let the standard library be a few hundred characters, which are read in no time."""
    from core.corpus.streams import Document

    for module in ("core.corpus.streams", "core.overview.sample_text"):
        monkeypatch.setattr(
            f"{module}.standard_library", lambda step=1: [Document("planted.py", "import this  # and that\n" * 200)]
        )


def id_of(root: Path, name: str = "dictionary") -> str:
    """The id of the dictionary in a folder below `root`."""
    return f"folder/{(root / name).resolve()}"


def arguments(root: Path) -> list[str]:
    """What follows `streamlit run app.py --` for that workspace."""
    folders = {"--sae": "dictionary", "--model": MODEL_NAME, "--root": ".", "--cache": "cache", "--notes": "notes"}
    return [part for option, name in folders.items() for part in (option, str((root / name).resolve()))]
