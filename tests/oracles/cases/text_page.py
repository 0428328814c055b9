"""Two texts of 18 and 14 tokens in six units each, and two prompts of eight; seven features with zeros and ties."""

import numpy as np

from core.activations.sparse import SparseActivations
from core.text.aligned_prompts import aligned_differences, differing_features
from core.text.difference import token_differences
from core.text.features import TextFeatures, cells, feature_table, token_features, token_table
from core.text.unit_difference import unit_differences
from tests.oracles.shown import Case, Known, Planted, Shown, known

N = 7
IN_A, IN_B, ALIKE = range(3)
"""Features that fire in A alone, in B alone, and on every token alike."""


def case(folder) -> Case:
    rng = np.random.default_rng(8)
    a, b = (rng.integers(-1, 5, (n, N)) * 0.25 * (rng.random((n, N)) < 0.5) for n in (18, 14))
    a[:, :3], b[:, :3] = (2.0, 0, 1), (0, 4.0, 1)
    units_a, units_b = (np.sort(np.append(np.arange(6), rng.integers(0, 6, len(acts) - 6))) for acts in (a, b))
    x = rng.normal(size=(len(a), 5))
    x_hat, largest = x + 0.3 * rng.normal(size=x.shape), np.array([4.0, 1, 1, 2, 2, 2, 2])
    x_hat[0] = 0
    given = {"acts_a": a, "acts_b": b, "units_a": units_a, "units_b": units_b, "x": x, "x_hat": x_hat}
    given["largest"] = largest
    one, two = on_text(a, x, x_hat), on_text(b, b, b)
    place = {"feature": "feature", "token_number": "token_number"}
    short = on_text(a[:8], a, a), on_text(b[:8], b, b)
    prompts = given | {"acts_a": a[:8], "acts_b": b[:8]}
    changes = aligned_differences(*short)
    where = {"token_number": "the first of the strongest tokens"}
    texts = dict.fromkeys(("token_text", "own_row", "position"), "what the token is")
    on_token = token_features(one, 3, largest)[["feature", "text_activation"]]
    shown = [
        Shown("tokens", token_table(one, ["t"] * len(a)), given, {"token_number": "token_number"}, not_held=texts),
        Shown("features", feature_table(one, largest), given, not_held=where),
        Shown("on token 3", on_token, given | {"token_number": 3}),
        Shown("cells", cells(one, list(range(N)), range(4, 9)), given, place),
        Shown("two texts", token_differences(one.acts, two.acts), given),
        Shown("units", unit_differences(one, two, units_a, units_b), given),
        Shown("prompts", changes, prompts, place),
        Shown("changes", differing_features(changes), prompts),
    ]
    return Case(shown, planted())


def on_text(acts: np.ndarray, x: np.ndarray, x_hat: np.ndarray) -> TextFeatures:
    tokens, features = np.nonzero(acts)
    ends = np.bincount(tokens, minlength=len(acts)).cumsum()
    values = acts[tokens, features].astype(np.float32)
    sparse = SparseActivations(ends, features.astype(np.int32), values, acts.shape[1])
    n = len(acts)
    error, square = ((x - x_hat) ** 2).sum(axis=1)[:n], (x**2).sum(axis=1)[:n]
    return TextFeatures(sparse, np.zeros(n, int), np.arange(n), error, square)


def planted() -> list[Planted | Known]:
    up, down, even = ({"feature": i} for i in (IN_A, IN_B, ALIKE))
    a, b, both = "2 on every token of A, 0 in B", "4 on every token of B, 0 in A", "1 on every token"
    p = {"feature": 0, "acts_a": np.array([[1.0], [3]]), "acts_b": np.array([[0.0], [5]])}
    return [
        Planted("text_max", 2, a, up),
        Planted("text_sum", 36, a, up),
        Planted("text_mean", 2, a, up),
        Planted("text_tokens", 18, a, up),
        Planted("text_activation", 2, a, up),
        Planted("largest_share", 0.5, "2 of at most 4", up),
        Planted("share_weighted", 1, "2 times one half", up),
        Planted("token_error_share", 1, "it is reconstructed as 0", {"token_number": 0}),
        Planted("text_auc", 1, a, up),
        Planted("text_auc", 0.5, both, even),
        Planted("rank_biserial", -1, b, down),
        Planted("higher_in", "A", a, up),
        Planted("higher_in", "B", b, down),
        Planted("higher_in", "neither", both, even),
        Planted("text_p", 1, both, even),
        Planted("minus_log10_p", 0, both, even),
        Planted("mean_a", 2, a, up),
        Planted("mean_b", 4, b, down),
        Planted("mean_difference", -4, b, down),
        Planted("rate_a", 1, a, up),
        Planted("rate_b", 0, a, up),
        Planted("rate_difference", 1, a, up),
        Planted("tokens_a", 18, a, up),
        Planted("tokens_b", 14, b, down),
        Planted("unit_mean_a", 2, a, up),
        Planted("unit_mean_b", 4, b, down),
        Planted("unit_difference", 2, a, up),
        Planted("units_a", 6, a, up),
        Planted("units_b", 6, b, down),
        Planted("unit_higher_in", "B", b, down),
        Planted("unit_higher_in", "neither", both, even),
        Planted("unit_z", 11**0.5, "six of twelve, as far apart as can be", up),
        Planted("unit_p", 2 / 924, "this deal and its reverse, of 924", up),
        Planted("family_p", 2 / 924, "this deal and its reverse, of 924", up),
        Planted("family_p", 1, both, even),
        Planted("prompt_activation_a", 2, a, up),
        Planted("prompt_activation_b", 4, b, down),
        Planted("prompt_difference", -4, b, down),
        Planted("difference_sum", 32, b, down),
        Planted("difference_max", 4, b, down),
        Planted("prompt_difference_sum", -32, b, down),
        Planted("differing_tokens", 8, a, up),
        known("text_q", 1, "one feature, whose p is 1", acts_a=np.ones((3, 1)), acts_b=np.ones((2, 1)), feature=0),
        known("unit_q", 1, "one feature, p 1", **p | ALL_ONE),
        known("token_l0", 2, "two of three", acts_a=np.array([[0, 3.0, -1]]), token_number=0),
        known("token_error", 5, "3, 4, 5", x=np.array([[3.0, 4]]), x_hat=np.zeros((1, 2)), token_number=0),
    ]


ALL_ONE = {"acts_b": np.array([[1.0], [3]]), "units_a": np.array([0, 1]), "units_b": np.array([0, 1])}
