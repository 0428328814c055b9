"""A small model with and without its positions, and with reconstructions in place."""

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from core.activations.spliced_loss import loss_by_position, spliced_loss
from core.corpus.samples import TextSample
from core.models.embeddings import SHUFFLED, ZERO
from core.models.language_model import LanguageModel
from core.oracles.encode import encode
from core.oracles.transformer import log_p, passing
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Shown, known
from ui.activations.loss import Subject, curves

N_POS = 8


def case(folder) -> Case:
    model = planted_model(folder)
    raw = {**load_file(model.folder / "model.safetensors"), "layer": 1}
    rows = written_by(raw)
    left_out = (int(rows[0, 0]), int(rows[2, 5]))
    dictionary = planted_dictionary(hook_name="blocks.1.hook_resid_pre", fold_decoder_norms=False)
    tensors = {name: getattr(dictionary, name).astype(float) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    acts, _ = encode(tensors, passing(raw, rows), input_bias=tensors["b_dec"])
    given = {"model": raw, "rows": rows, "x_hat": acts @ tensors["W_dec"] + tensors["b_dec"]}
    given, how = given | {"counted": ~np.isin(rows, left_out)}, {"left_out": left_out}
    spliced = spliced_loss(dictionary, model, rows, **how)
    others = {wpe: loss_by_position(LanguageModel(model.folder, wpe=wpe), rows, **how) for wpe in (ZERO, SHUFFLED)}
    shown = []
    for first in (0, 1):
        subject = Subject(dictionary, model, TextSample(rows, "planted", **how), with_first=first == 0)
        found = curves(subject, spliced, others)
        whole = given | {"position": range(first, N_POS - 1)}
        shown.append(Shown(f"positions from {first} on", found.table, given, {"position": "position"}))
        shown.append(Shown(f"means from {first} on", pd.DataFrame([found.means]), whole, {}))
    return Case(shown, planted())


def written_by(model) -> np.ndarray:
    """Return rows that the model goes on writing, so that it predicts them better than without what passes."""
    rng, rows = np.random.default_rng(8), np.arange(40, 44)[:, None]
    while rows.shape[1] < N_POS:
        p = np.exp(log_p(model, rows)[:, -1])
        rows = np.hstack([rows, [[rng.choice(len(each), p=each)] for each in p]])
    return rows


def planted() -> list[Known]:
    """Tokens of one dimension whose logits are what passes, and 0: ln 3 gives p = 3/4, 0 gives 1/2."""
    third = np.log(3)
    two = {"embed.W_E": np.array([[third], [0.0]]), "unembed.W_U": np.array([[1.0, 0]]), "layer": 0}
    rows = np.array([[0, 0, 0], [0, 1, 0]])
    given = {"model": two, "rows": rows, "counted": np.ones(rows.shape, bool)}
    placed = given | {"model": two | {"pos_embed.W_pos": np.array([[-third], [0.0], [third]])}}
    one_left_out = given | {"counted": np.array([[True, True, True], [False, True, True]])}
    nothing, as_it_is, nine = np.zeros((2, 3, 1)), np.full((2, 3, 1), third), np.log(10 / 9)
    return [
        known("ce_wpe_trained", np.log(16 / 3) / 2, "−ln 3/4 and −ln 1/4", position=0, **given),
        known("ce_wpe_trained", np.log(4 / 3), "one of two counts", position=0, **one_left_out),
        known("ce_wpe_trained", np.log(2), "W_pos takes ln 3 away", position=0, **placed),
        known("ce_wpe_zero", np.log(16 / 3) / 2, "without it", position=0, **placed),
        known("ce_wpe_shuffled", (nine + np.log(10)) / 2, "seed 0 puts row 2 first: ln 9", position=0, **placed),
        known("ce_with_x_hat", np.log(2), "0 in place", x_hat=nothing, position=[0, 1], **given),
        known(
            "ce_with_x_hat",
            np.log(4 / 3),
            "what does not count stays",
            x_hat=as_it_is,
            position=0,
            **one_left_out,
        ),
        known("ce_recovered", None, "0 does better than x", x_hat=nothing, position=0, **given),
        known("ce_recovered", 0, "as bad as 0", x_hat=nothing, position=0, **one_left_out),
        known("ce_recovered", 1, "as good as x", x_hat=as_it_is, position=0, **one_left_out),
    ]
