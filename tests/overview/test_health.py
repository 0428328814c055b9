"""The health badge: every fault is planted in a healthy dictionary and must be named; a healthy one is left alone."""

import dataclasses

import numpy as np
import pytest

from core.activations.token_pass import activation_pass
from core.corpus.streams import Document, TokenStream, token_stream
from core.errors import CorpusError, DoesNotFitError
from core.models.language_model import LanguageModel
from core.overview import attempts
from core.overview.health import BROKEN, DEAD_TOKENS, HEALTHY, SUSPICIOUS, UNJUDGED, judge
from core.overview.probe import RecipeProbe, beginnings, expected_l0, probe_recipes
from core.overview.sample_text import badge_key, badge_stream
from core.overview.suspicions import _FAULTS, _first_share, _first_token, _outliers, _recipe, better, number
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT
from tests.doubles.planted import planted_dictionary, planted_model

D_IN, D_SAE, N_POS = 8, 24, 12
SIZE = np.sqrt(D_IN)
ROWS = np.random.default_rng(3).integers(0, 257, (14, N_POS))


def directions(*, centred: bool = False, seed: int = 4) -> np.ndarray:
    """Unit vectors, no two with a cosine over 0.9."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < D_SAE:
        d = rng.normal(size=D_IN)
        d = d - d.mean() if centred else d
        d /= np.linalg.norm(d)
        if all(d @ other < 0.85 for other in found):
            found.append(d)
    return np.array(found)


def fitting(D: np.ndarray, *, size: float = SIZE, mean=None, subtracts: bool = True, **options):
    """A dictionary that gives back inputs size * D[j] + mean exactly, and no others."""
    mean = np.zeros(D_IN) if mean is None else mean
    b_enc = -0.9 * size * np.ones(D_SAE) - (0 if subtracts else D @ mean)
    tensors = {"W_enc": D.T, "W_dec": 10 * D, "b_enc": b_enc, "b_dec": mean}
    return planted_dictionary(d_sae=D_SAE, tensors=tensors, **options)


class QuickModel(LanguageModel):
    """A model without torch: layer 0 as its embeddings say, given or random activations of a token at other hooks."""

    def __init__(self, folder, given, **options):
        super().__init__(folder, **options)
        self.given = given

    def activations(self, tokens, hook_name):
        if hook_name == "blocks.0.hook_resid_pre" and hook_name not in self.given:
            return super().activations(tokens, hook_name)
        other = np.random.default_rng(0).normal(size=(257, D_IN)).astype(np.float32)
        return self.given.get(hook_name, other)[tokens]


def quick(tmp_path, given=None, *, centred=False, **options):
    return QuickModel(planted_model(tmp_path, n_ctx=N_POS, **options).folder, given or {}, centred=centred)


def reading(tmp_path, D: np.ndarray, *, size: float | np.ndarray = SIZE, mean=0.0, W_pos=None, **options):
    """A model whose layer-0 inputs are size * D[token] + mean."""
    W_E = np.broadcast_to(size, 257)[:, None] * D[np.arange(257) % D_SAE] + mean
    W_pos = np.zeros((N_POS, D_IN)) if W_pos is None else W_pos
    return quick(tmp_path, tensors={"embed.W_E": W_E, "pos_embed.W_pos": W_pos}, **options)


READ = {"ce": 1.0, "ce_score": 0.97}
"""The losses of a model that can read the text."""


def health_of(dictionary, model, *, published=None, loss=None, rows=ROWS):
    probe = probe_recipes(dictionary, model, rows, expected_l0=(published or {}).get("l0"))
    statistics = activation_pass(dictionary, model, rows, None)
    return judge(statistics, probe, published or {}, READ | (loss or {}), d_vocab=257)


def names(health) -> list[str]:
    return [suspicion.name for suspicion in health.suspicions]


def test_a_healthy_dictionary_gets_no_suspicion(tmp_path):
    D, mean = directions(), 0.4 * np.arange(D_IN)
    health = health_of(
        fitting(D, mean=mean),
        reading(tmp_path, D, mean=mean),
        published={"l0": 1.0, "fve": 0.99, "dead_share": 0.0},
        loss={"ce_score": 0.97},
    )
    assert (health.verdict, names(health), health.reasons) == (HEALTHY, [], ())
    found = {line.name: (line.value, line.published) for line in health.lines}
    assert found["fve"] == (pytest.approx(1), 0.99)
    assert found["l0"] == (pytest.approx(1), 1.0)
    assert found["ce_recovered"][0] == 0.97
    assert np.isnan(found["ce_recovered"][1])  # absent is absent


@pytest.mark.parametrize(
    ("size", "made_for", "name"),
    [(20.0, SIZE, "Input scaling is missing"), (20.0, 20.0**2 / SIZE, "Input scaling was folded in twice")],
)
def test_a_wrong_input_scale_is_named_with_its_factor(tmp_path, size, made_for, name):
    D = directions()
    health = health_of(fitting(D, size=made_for), reading(tmp_path, D, size=size))
    assert names(health)[0].startswith(name)
    assert f"multiplied by {made_for / size:.3g}" in health.suspicions[0].evidence
    assert "1.00 (" in health.suspicions[0].evidence
    assert health.verdict == BROKEN


def test_missing_layer_norm_is_named(tmp_path):
    D = directions(centred=True)
    size = np.random.default_rng(0).uniform(1, 60, 257)
    health = health_of(fitting(D, size=np.sqrt(D_IN - 1)), reading(tmp_path, D, size=size, mean=3.0))
    assert names(health) == ["Input normalisation is missing"]
    assert "every output scaled back, it explains 1.00 (" in health.suspicions[0].evidence


def test_uncentred_input_is_named(tmp_path):
    D, means = directions(centred=True), np.random.default_rng(0).normal(0, 3, (257, 1))
    tensors = {"W_enc": D.T + 0.4, "W_dec": 10 * D, "b_enc": np.full(D_SAE, -0.9 * SIZE), "b_dec": np.zeros(D_IN)}
    dictionary = planted_dictionary(d_sae=D_SAE, tensors=tensors)  # what it reads of the mean was never trained
    health = health_of(dictionary, reading(tmp_path, D, mean=means))
    assert names(health) == ["Uncentred input"]
    assert "dimensions subtracted, it explains 1.00 (" in health.suspicions[0].evidence


def test_input_that_is_centred_against_the_training_is_named(tmp_path):
    signs = np.where(np.arange(D_SAE) % 2, 1, -1)[:, None]
    D = directions(centred=True) * 0.5 + signs * np.sqrt(0.75 / D_IN)
    assert np.linalg.norm(D, axis=1) == pytest.approx(1)
    dictionary = fitting(D, metadata={"model_from_pretrained_kwargs": {"center_writing_weights": True}})
    model = reading(tmp_path, D, centred=True)
    assert names(health_of(dictionary, model)) == ["Input centred against the training"]


@pytest.mark.parametrize("subtracts", [True, False])
def test_a_decoder_bias_handled_the_other_way_is_named(tmp_path, subtracts):
    D, mean = directions(), np.linspace(-6, 6, D_IN)
    dictionary = fitting(D, mean=mean, subtracts=not subtracts, apply_b_dec_to_input=subtracts)
    health = health_of(dictionary, reading(tmp_path, D, mean=mean))
    assert names(health) == ["Decoder bias handled the other way in training"]
    assert f"decoder bias {'not subtracted' if subtracts else 'subtracted'}" in health.suspicions[0].evidence


@pytest.mark.parametrize("published", [{"l0": 1.0}, {}])
@pytest.mark.parametrize("architecture", ["standard", "jumprelu"])
def test_a_topk_dictionary_run_as_relu_is_named_whatever_is_published(tmp_path, architecture, published):
    D = directions()
    tensors = {"W_enc": D.T, "W_dec": D, "b_enc": np.zeros(D_SAE), "b_dec": np.zeros(D_IN)}
    dictionary = planted_dictionary(architecture, d_sae=D_SAE, tensors=tensors, threshold=0.0)
    health = health_of(dictionary, reading(tmp_path, D), published=published)
    assert names(health) == ["TopK run as ReLU"]
    assert "with the 1 largest activations of each token alone, it explains 1.00" in health.suspicions[0].evidence
    assert ("published are 1.0" in health.suspicions[0].evidence) == bool(published)


def test_an_outlying_first_token_is_shown_apart_and_named(tmp_path):
    D, W_pos = directions(), np.zeros((N_POS, D_IN))
    W_pos[0] = 500
    health = health_of(fitting(D), reading(tmp_path, D, W_pos=W_pos), published={"fve": 1.0})
    assert names(health) == ["The first token outweighs all others"]
    fve = next(line for line in health.lines if line.name == "fve")
    assert fve.without_first == pytest.approx(1)
    assert fve.value < 0.9
    assert health.verdict == SUSPICIOUS


def test_a_first_token_that_outweighs_all_others_but_moves_nothing_is_not_named(tmp_path):
    D, W_pos = directions(), np.zeros((N_POS, D_IN))
    W_pos[0] = 500
    statistics = activation_pass(fitting(D), reading(tmp_path, D, W_pos=W_pos), ROWS, None)
    assert len(_first_token(statistics, 0.9, 0.96)) == 1
    for whole, rest in ((0.9, 0.9), (0.9, 0.94), (-0.3, -0.3), (0.02, 0.02)):
        assert _first_token(statistics, whole, rest) == []


def test_the_first_positions_share_counts_its_tokens_and_none_where_there_are_none():
    values = np.array([3.0, 1.0, np.nan])
    assert _first_share(values, np.array([1, 1, 0])) == 0.75
    assert _first_share(values, np.array([1, 9, 0])) == 0.25
    assert _first_share(np.array([np.nan, 2.0]), np.array([0, 3])) == 0
    assert _first_share(np.array([1.0, np.nan]), np.array([2, 0])) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.50"), (-99.99, "-99.99"), (-100.0, "far below 0"), (-1e9, "far below 0")]
)
def test_a_variance_explained_far_below_0_has_no_number(value, text):
    assert number(value) == text


def probed(kinds=(attempts.AS_IS,), fve=(0.9,), *, n_outliers=0, with_outliers=0.9) -> RecipeProbe:
    return RecipeProbe(kinds, ("7",) * len(kinds), np.array(fve), 31.0, 100, n_outliers, with_outliers, 0.1)


@pytest.mark.parametrize(
    ("n_outliers", "with_outliers", "named"), [(3, 0.9, 0), (0, 0.1, 0), (3, 0.1, 1), (3, 0.99, 1)]
)
def test_long_inputs_are_named_only_if_there_are_any_and_they_move_what_is_explained(n_outliers, with_outliers, named):
    assert len(_outliers(probed(n_outliers=n_outliers, with_outliers=with_outliers))) == named


@pytest.mark.parametrize("kind", _FAULTS)
def test_how_many_are_active_is_said_where_a_topk_runs_as_relu_and_nowhere_else(kind):
    (found,) = _recipe(probed((attempts.AS_IS, kind), (0.1, 0.9)), {})
    assert ("31.0 are active on a token" in found.evidence) == (kind == attempts.TOP)


def test_long_inputs_behind_the_first_are_named_and_spoil_no_other_test(tmp_path):
    D, size = directions(), np.full(257, SIZE)
    size[ROWS[2, 5]] = 40 * SIZE
    health = health_of(fitting(D), reading(tmp_path, D, size=size))
    assert names(health) == ["A few long inputs outweigh all others"]
    assert "over 10 times as long" in health.suspicions[0].evidence


def test_a_dictionary_of_another_hook_is_told_which(tmp_path):
    D = directions()
    inputs = (SIZE * D[np.arange(257) % D_SAE]).astype(np.float32)
    health = health_of(fitting(D), quick(tmp_path, {"blocks.1.hook_resid_pre": inputs}))
    assert names(health) == ["It belongs to another hook"]
    assert "1.00 at blocks.1.hook_resid_pre" in health.suspicions[0].evidence
    assert health.suspicions[0].next_step.endswith("hook_name=blocks.1.hook_resid_pre")
    assert names(health_of(fitting(D), quick(tmp_path))) == ["It does not belong to this hook or model"]


def test_what_the_probe_says_as_it_is_is_the_dictionarys_own_reconstruction(tmp_path):
    dictionary, model = planted_dictionary(d_sae=D_SAE), quick(tmp_path)
    probe = probe_recipes(dictionary, model, ROWS, progress=SILENT)
    x = model.activations(ROWS, dictionary.config.hook_name)[:, 1:].reshape(-1, D_IN).astype(np.float64)
    acts = np.maximum((x - dictionary.b_dec) @ dictionary.W_enc + dictionary.b_enc, 0)
    error = ((x - acts @ dictionary.W_dec - dictionary.b_dec) ** 2).sum()
    assert (probe.kinds[0], probe.n_tokens, probe.n_outliers) == (attempts.AS_IS, x.shape[0], 0)
    assert probe.fve[0] == pytest.approx(1 - error / ((x - x.mean(0)) ** 2).sum(), rel=1e-4)
    assert probe.l0 == pytest.approx((acts > 0).sum(1).mean())


def test_a_probe_is_stored_and_found_again(tmp_path):
    probe = probe_recipes(fitting(directions()), reading(tmp_path, directions()), ROWS)
    key = RecipeProbe.key("d", "m", "r", expected_l0=None, left_out=(0, 3))
    store = ArtifactStore(tmp_path / "cache")
    store.save(probe, key)
    found = store.load(RecipeProbe, key)
    for field in dataclasses.fields(probe):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(probe, field.name))
    assert key != RecipeProbe.key("d", "m", "r", expected_l0=8.0, left_out=(0, 3))
    assert key != RecipeProbe.key("d", "m", "r")


def test_tokens_left_out_are_not_judged(tmp_path):
    D = directions()
    model = reading(tmp_path, D)
    out = int(ROWS[0, 3])
    expected = (ROWS[:, 1:] != out).sum()
    assert probe_recipes(fitting(D), model, ROWS, left_out=(out,)).n_tokens == expected
    assert probe_recipes(fitting(D), model, np.full((2, 3), out), left_out=(out,)).n_tokens == 6


def test_one_token_and_constant_text_are_no_crash_and_no_tokens_an_error(tmp_path):
    D = directions()
    model = reading(tmp_path, D)
    for rows in (ROWS[:1, :1], np.full((3, 4), 7)):
        assert health_of(fitting(D), model, rows=rows).verdict in (HEALTHY, SUSPICIOUS, BROKEN)
    with pytest.raises(CorpusError, match="hold no tokens"):
        probe_recipes(fitting(D), model, np.zeros((0, 4), int))
    with pytest.raises(DoesNotFitError):
        probe_recipes(planted_dictionary(d_in=5), model, ROWS)


@pytest.mark.parametrize(
    "architecture", ["standard", "gated", "jumprelu", "topk", "abstopk", "matching_pursuit", "transcoder"]
)
def test_every_architecture_passes_through(tmp_path, architecture):
    extra = {"max_iterations": 3, "residual_threshold": 0.01, "k": 3} if architecture == "matching_pursuit" else None
    dictionary = planted_dictionary(architecture, d_sae=D_SAE, extra=extra)
    probe = probe_recipes(dictionary, quick(tmp_path), ROWS)
    assert {attempts.SCALED, attempts.UNSCALED, attempts.CENTRED} <= set(probe.kinds)
    assert (attempts.BIAS in probe.kinds) == (architecture != "transcoder")


def test_normalising_dictionaries_are_not_normalised_twice(tmp_path):
    dictionary = planted_dictionary(d_sae=D_SAE, normalize_activations="layer_norm")
    probe = probe_recipes(dictionary, quick(tmp_path), ROWS)
    assert not {attempts.LAYER_NORM, attempts.BIAS, attempts.TOP} & set(probe.kinds)


@pytest.mark.parametrize(
    ("published", "loss", "verdict", "says"),
    [
        ({"fve": 1.3}, {}, SUSPICIOUS, "published are 1.30"),
        ({"l0": 3.2}, {}, SUSPICIOUS, "1.0 features are active on a token, published are 3.2"),
        ({"l0": 2.8, "fve": 1.1}, {}, HEALTHY, ""),
        ({}, {"ce_score": 0.4}, SUSPICIOUS, "Only 40% of the model's loss"),
        ({}, {"ce_score": -0.1}, BROKEN, "no better with the reconstruction than with zeros"),
        ({}, {"ce_score": np.nan}, UNJUDGED, "has no value"),
        ({}, {"ce_score": 0.99, "ce": np.nan}, UNJUDGED, "its own loss is no number"),
        (
            {},
            {"ce_score": 0.99, "ce": 7.1},
            UNJUDGED,
            "own loss is 7.10 nats a token, that of a guess among 257",
        ),
        ({"l0": 3.2}, {"ce_score": -0.1, "ce": 7.1}, UNJUDGED, "cannot read this text"),
        ({}, {"ce_score": 0.99, "ce": 5.54}, HEALTHY, ""),
    ],
)
def test_numbers_that_disagree_with_the_source_or_with_sense_are_named(tmp_path, published, loss, verdict, says):
    D = directions()
    dictionary, model = fitting(D), reading(tmp_path, D)
    probe = probe_recipes(dictionary, model, ROWS)
    health = judge(activation_pass(dictionary, model, ROWS, None), probe, published, READ | loss, d_vocab=257)
    assert health.verdict == verdict
    assert says in " ".join(health.reasons)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_nothing_is_judged_before_the_models_own_loss_is_known(tmp_path, scale):
    D = directions()
    dictionary, model = fitting(D, size=scale * SIZE), reading(tmp_path, D)
    statistics, probe = activation_pass(dictionary, model, ROWS, None), probe_recipes(dictionary, model, ROWS)
    assert judge(statistics, probe, {}, READ, d_vocab=257).verdict == (HEALTHY if scale == 1 else BROKEN)
    health = judge(statistics, probe, {}, None, d_vocab=257)
    assert (health.verdict, health.suspicions) == (UNJUDGED, ())
    assert {line.verdict for line in health.lines} == {UNJUDGED}
    assert health.reasons[0].startswith("The model's own loss on this text is not known yet.")


@pytest.mark.parametrize(
    ("found", "plain", "is_better"),
    [
        (0.9, 0.8, True),
        (0.94, 0.9, False),
        (0.3, 0.2, False),
        (0.1, -9.0, False),
        (0.97, 0.93, False),
        (0.985, 0.93, True),
    ],
)
def test_a_recipe_is_better_only_if_it_explains_much_that_was_unexplained(found, plain, is_better):
    assert better(found, plain) == is_better


def test_dead_features_are_judged_on_enough_tokens_only(tmp_path):
    D = directions()
    tensors = {"b_enc": np.where(np.arange(D_SAE) < 20, -1e3, -0.9 * SIZE)}
    tensors |= {"W_enc": D.T, "W_dec": 10 * D, "b_dec": np.zeros(D_IN)}
    dictionary = planted_dictionary(d_sae=D_SAE, tensors=tensors)
    model = reading(tmp_path, D)
    statistics, probe = activation_pass(dictionary, model, ROWS, None), probe_recipes(dictionary, model, ROWS)
    dead = {line.name: line for line in judge(statistics, probe, {}, READ, d_vocab=257).lines}["dead_share"]
    assert dead.value == pytest.approx(20 / 24)
    assert (dead.verdict, dead.reason) == (HEALTHY, "")
    many = dataclasses.replace(statistics, position_rows=np.full(N_POS, DEAD_TOKENS // N_POS + 1))
    dead = {line.name: line for line in judge(many, probe, {}, READ, d_vocab=257).lines}["dead_share"]
    assert (dead.verdict, dead.reason.split(" of")[0]) == (SUSPICIOUS, "83%")


def test_the_expected_number_of_active_features_is_published_or_in_the_config():
    assert expected_l0(planted_dictionary(published={"l0": 7.5})) == 7.5
    assert expected_l0(planted_dictionary(metadata={"l0": 0.0, "k": 32})) == 32
    assert expected_l0(planted_dictionary(metadata={"l0": "many", "k": True})) is None
    assert expected_l0(planted_dictionary("topk", k=3)) == 3


def test_a_probe_reads_the_beginnings_of_rows_and_fewer_for_wide_dictionaries():
    rows = np.arange(64 * 100).reshape(64, 100)
    assert beginnings(rows, 1000).shape == (16, 32)
    assert beginnings(rows, 131_072).shape == (2, 32)
    np.testing.assert_array_equal(beginnings(rows[:3, :5], 10), rows[:3, :5])


def test_the_badge_reads_one_document_in_sixteen_and_is_named_apart_from_the_whole_library(tmp_path, monkeypatch):
    documents = [Document(f"{i}.py", f"text {i}") for i in range(33)]
    monkeypatch.setattr("core.overview.sample_text.standard_library", lambda step: documents[::step])
    model = planted_model(tmp_path)
    stream = badge_stream(model.tokenizer, separator=model.separator, progress=SILENT)
    expected = token_stream(model.tokenizer, [documents[i] for i in (0, 16, 32)], separator=model.separator)
    np.testing.assert_array_equal(stream.tokens, expected)
    badge = badge_key("t", "x", separator=0)
    others = [badge_key("t", "y", separator=0), badge_key("t", "x", separator=1)]
    assert badge not in (TokenStream.key("t", "x", separator=0), *others)
