"""Six features on 24 rows: one always fires, one on a token of three rows, one never, and one writes nothing."""

import numpy as np

from core.activations.token_pass import activation_pass, open_store
from core.logit_weights.unembedding import LogitSettings
from core.neuronpedia.export import export_features
from core.oracles.encode import encode
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

D, N, V, N_ROWS, N_POS = 8, 6, 40, 24, 6
ALWAYS, ON_7, NEVER, BLANK = range(4)
PROMOTED = 11


def case(folder) -> Case:
    rng = np.random.default_rng(2)
    rows = rng.integers(8, V, (N_ROWS, N_POS))
    rows[[2, 5, 9], 3] = 7
    W_E, W_U, W_dec = rng.normal(size=(V, D)), rng.normal(size=(D, V)), rng.normal(size=(N, D))
    W_E[:, 7], W_E[7, 7], W_U[:, PROMOTED] = 0, 3, 0
    W_U[0], W_U[0, PROMOTED] = 0, 5
    W_dec[ALWAYS], W_dec[BLANK] = np.eye(D)[0], 0
    W_enc, b_enc = rng.normal(size=(D, N)), np.array([100.0, -1, -100, 0, 0, 0])
    W_enc[:, ON_7] = np.eye(D)[7]
    tensors = {"embed.W_E": W_E, "pos_embed.W_pos": np.zeros((N_POS, D)), "unembed.W_U": W_U}
    model = planted_model(folder / "model", d_vocab=V, n_ctx=N_POS, tensors=tensors)
    tensors = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": np.zeros(D)}
    dictionary = planted_dictionary(d_in=D, d_sae=N, tensors=tensors, fold_decoder_norms=False)
    artifacts, settings = ArtifactStore(folder / "cache"), LogitSettings()
    activation_pass(dictionary, model, rows, artifacts)
    found = export_features(
        dictionary, model, open_store(dictionary, model, rows, artifacts), range(N), settings=settings
    )
    given = {"acts": encode(tensors, W_E[rows])[0], "W_dec": W_dec, "W_U": model.W_U, "strings": model.token_strings}
    given["how"] = settings.as_inputs() | {"ln_w": model.ln_final[0]}
    table, as_zero = found.to_frame(), {"largest_activation": "0 stands for none in the files"}
    silent = table["feature"] == NEVER
    shown = [
        Shown("what the files hold", table[~silent].reset_index(drop=True), given),
        Shown("of a silent feature", table[silent].reset_index(drop=True), given, not_held=as_zero),
    ]
    return Case(shown, planted(model.token_strings))


def planted(strings) -> list[Planted | Known]:
    acts = np.array([[[0.0], [2]], [[0], [-1]], [[1], [0]]])
    way = {"W_dec": np.eye(2), "W_U": np.array([[1.0, 3, 2], [1, 1, 1]]), "how": {}, "strings": "abc"}
    return [
        Planted("example_texts", 20, "it fires in all 24", {"feature": ALWAYS}),
        Planted("example_texts", 3, "three rows hold the token", {"feature": ON_7}),
        Planted("example_texts", 0, "it never fires", {"feature": NEVER}),
        Planted("top_promoted", strings[PROMOTED], "it writes along the one axis of this token", {"feature": ALWAYS}),
        Planted("top_promoted", "", "it writes nothing", {"feature": BLANK}),
        known("example_texts", 2, "the second has none over 0", acts=acts, feature=0),
        known("top_promoted", "b", "3 is the largest", **way, feature=0),
        known("top_promoted", "", "all have 1", **way, feature=1),
    ]
