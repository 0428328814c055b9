"""First-order effects on the loss of a small model and on a difference of logits, and the atlas of the same text."""

import numpy as np
from safetensors.numpy import load_file

from core.activations.token_pass import activation_pass, open_store
from core.interventions.atlas import causal_atlas
from core.interventions.attribution import Asked, attribute, check_guess, chosen
from core.oracles.encode import encode
from core.oracles.transformer import passing
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

ROWS = np.random.default_rng(6).integers(0, 257, (3, 6))
LEFT_OUT = (int(ROWS[1, 2]),)
COUNTED = ~np.isin(ROWS, LEFT_OUT)
D_SAE, SILENT = 7, 2
LOSS, DIFFERENCE = {"kind": "loss"}, {"places": (4, 3, 5), "plus": 5, "minus": 9}
STRONGEST, SEED = 3, 2
"""The seed of random directions; planted dictionaries draw their decoder rows by seed 0, which would be the same."""
CLOSE = 1e-4
"""Slopes of a model in float32, as a share of the column's largest."""


def case(folder) -> Case:
    model, dictionary = planted_model(folder), dictionary_of()
    raw = {**load_file(model.folder / "model.safetensors"), "layer": 1}
    tensors = {name: getattr(dictionary, name).astype(float) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    acts, _ = encode(tensors, passing(raw, ROWS), input_bias=tensors["b_dec"])
    given = {"model": raw, "rows": ROWS, "counted": COUNTED, "acts": acts, "directions": tensors["W_dec"]}
    of_loss = given | {"asked": LOSS, "baseline": np.zeros(D_SAE)}
    of_logits = given | {"asked": DIFFERENCE, "baseline": np.linspace(0.1, 0.7, D_SAE)}
    return Case(
        [
            *attributed(dictionary, model, Asked(), None, of_loss, "loss"),
            *attributed(
                dictionary, model, Asked("difference", (4, 3, 5), 5, 9), of_logits["baseline"], of_logits, "difference"
            ),
            atlas(dictionary, model, given, folder),
        ],
        planted(),
    )


def dictionary_of():
    b_enc = np.full(D_SAE, -0.2)
    b_enc[SILENT] = -100
    tensors = {"b_enc": b_enc}
    hook_name = "blocks.1.hook_resid_pre"
    return planted_dictionary(d_sae=D_SAE, hook_name=hook_name, tensors=tensors, fold_decoder_norms=False)


def attributed(dictionary, model, asked: Asked, means, given, what: str) -> list[Shown]:
    """Return the ranking, the tokens of one feature, and guesses beside ablations of features and of directions."""
    found = attribute(dictionary, model, ROWS, asked, keep=COUNTED, means=means)
    features, strongest = chosen(found.table, strongest=STRONGEST, sampled=2)
    checked = check_guess(dictionary, model, found, asked, features, strongest, seed=SEED)
    own = given | {"strongest": STRONGEST, "drawn": False, "features": features}
    drawn = own | {"drawn": True, "directions": as_long(given["directions"], features)}
    table, n, fits = checked.to_frame(), len(features), checked.fits()
    feature, close = int(features[0]), dict.fromkeys((*table, *found.table, "attribution_at"), CLOSE)
    flat = given["acts"][COUNTED]
    at = {"feature": "feature", "token_number": "token_number"}
    largest = found.table[["feature", "token_number", "attribution_there"]]
    carried = {"attribution_there": "attribution_at"}
    each, of_one = found.token_table(feature), {"text_row": "its row", "position": "its place", "token": "its id"}
    names = {"token_number": "held with the attribution there"}
    return [
        Shown(f"ranking by {what}", found.table, own | {"acts_a": flat}, not_held=names, close=close),
        Shown(f"largest, {what}", largest, own, at, carries=carried, close=close),
        Shown(f"tokens, {what}", each, own | {"feature": feature}, {"token_number": "#"}, not_held=of_one, close=close),
        Shown(f"features, {what}", table[:n], own, close=close),
        Shown(f"directions, {what}", table[n:].reset_index(drop=True), drawn, close=close),
        Shown(f"fit of features, {what}", fits.loc[["features"]], own, {}),
        Shown(f"fit of directions, {what}", fits.loc[["random"]], drawn, {}),
    ]


def as_long(directions, features) -> np.ndarray:
    """Return the random directions that are compared, at the features in whose place they stand."""
    drawn = np.random.default_rng(SEED).standard_normal((len(features), directions.shape[1]))
    made = np.zeros(directions.shape)
    for feature, direction in zip(features, drawn, strict=True):
        made[feature] = direction / np.linalg.norm(direction) * np.linalg.norm(directions[feature])
    return made


def atlas(dictionary, model, given, folder) -> Shown:
    artifacts, how = ArtifactStore(folder / "cache"), {"left_out": LEFT_OUT}
    activation_pass(dictionary, model, ROWS, artifacts, **how)
    found = causal_atlas(dictionary, model, open_store(dictionary, model, ROWS, artifacts, **how))
    table = found.table()
    instead = {"density": {"acts": given["acts"][COUNTED]}}
    return Shown("atlas", table, given, instead=instead, close=dict.fromkeys(table, CLOSE))


def planted() -> list[Planted | Known]:
    """A model of two tokens, whose logits are what passes, and 0: as it is, ln 3 or p = 3/4; without, p = 1/2."""
    third = np.log(3)
    two = {"embed.W_E": np.array([[third], [0.0]]), "unembed.W_U": np.array([[1.0, 0]]), "layer": 0}
    rows, acts, row = np.array([[0, 0, 0]]), np.array([[[third, 0, 0], [third, 0, 0], [0, 0, 0]]]), np.array([[1.0]])
    directions = np.array([[1.0], [2], [-1]])
    on = {"model": two, "rows": rows, "counted": np.ones((1, 3), bool), "acts": acts, "directions": directions}
    loss, linear = on | {"asked": LOSS, "baseline": np.zeros(3)}, {"places": (0,), "plus": 0}
    logit = on | {"asked": linear, "baseline": np.zeros(3)}
    turned = loss | {"acts": np.array([[[1.0], [-2], [5]]]), "directions": row, "baseline": np.zeros(1)}
    slope, loses = -third / 4, np.log(2 / 3)
    three = {"acts": np.ones((1, 3, 3)) * [third, 2 * third, 3], "directions": np.ones((3, 1))}
    half = loss | {"baseline": np.array([third / 2, 0, 0])}
    fires = on | {"feature": 0}
    wide = {"embed.W_E": np.zeros((2, 3)), "unembed.W_U": np.array([[1.0, 0], [0, 0], [0, 0]]), "layer": 0}
    in_three = fires | {"model": wide, "directions": np.array([[0, 0, 2.0]])}
    return [
        Planted("atlas_quadrant", "silent", "its bias is far below all else", {"feature": SILENT}, "atlas"),
        Planted("atlas_effect", 0, "it never fires", {"feature": SILENT}, "atlas"),
        Planted("atlas_per_firing", None, "it never fires", {"feature": SILENT}, "atlas"),
        Planted("attribution_series", "random direction", "all below", what="directions, loss"),
        known("attribution", third, "a logit is linear", feature=0, **logit),
        known("attribution", 2 * slope, "two tokens with a next, slope p − 1", feature=0, **loss),
        known("attribution", slope, "half of f is the baseline", feature=0, **half),
        known("attribution_at", slope, "ln 3 times (3/4 − 1)", feature=0, token_number=1, **loss),
        known("attribution_at", 0, "the last token predicts nothing", feature=0, token_number=2, **turned),
        known("attribution_size", 3 / 4, "1 and 2 times a quarter", feature=0, **turned),
        known("attribution_there", 2 / 4, "−2 times −1/4", feature=0, **turned),
        known("ablation_effect", 2 * loses, "ln(4/3) − ln 2, twice", feature=0, **loss),
        known("ablation_effect", third, "a logit is linear", feature=0, **logit),
        known("linear_error", 0, "a logit is linear", feature=0, **logit),
        known("linear_error", 2 * (slope - loses), "the loss is not", feature=0, **loss),
        known("attribution_series", "strongest", "the only one with any", strongest=1, drawn=False, feature=0, **loss),
        known("attribution_series", "sample of others", "it has none", strongest=1, drawn=False, feature=1, **loss),
        known("linear_slope", loses / slope, "of one feature", features=[0], **loss),
        known("linear_slope", 1, "a logit is linear", features=[0, 1], **logit),
        known("linear_slope", None, "nothing is guessed", features=[1], **loss),
        known("linear_rank", 1, "all are lower for twice as much", features=[0, 1, 2], **loss | three),
        known("linear_rank", None, "two make no order", features=[0, 1], **loss | three),
        known("atlas_effect", 2 * slope / 3, "two firings over three tokens", **fires),
        known("atlas_size", -2 * slope / 3, "two firings over three tokens", **fires),
        known("atlas_per_firing", -slope, "both do as much", **fires),
        known("atlas_mean_firing", slope, "both do as much", **fires),
        known("atlas_chance", -slope, "in one dimension all directions are its own", **fires),
        known("atlas_over_chance", 1, "in one dimension all directions are its own", **fires),
        known("atlas_chance", third * 0.5 * 2 / 2, "in three dimensions the mean of |u₁| is 1/2", **in_three),
        known("atlas_over_chance", 0, "across the gradient", **in_three),
        known("atlas_quadrant", "fires little, does little", "the only one is its own median", **fires),
        *quadrants(two, rows),
    ]


def quadrants(two, rows) -> list[Known]:
    """Feature 0 fires twice, 1 and 2 once; a firing of 2 does most. Their medians are once, and what 0 or 1 does."""
    acts = np.array([[[1.0, 0, 3], [1, 1, 0], [0, 0, 0]]])
    given = {"model": two, "rows": rows, "counted": np.ones((1, 3), bool), "acts": acts, "directions": np.ones((3, 1))}
    said = ["fires much, does little", "fires little, does little", "fires little, does much"]
    return [known("atlas_quadrant", one, "by medians", feature=i, **given) for i, one in enumerate(said)]
