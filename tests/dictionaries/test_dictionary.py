"""A dictionary in memory: its gates, its identity, its lock. Reading folders is tested with the source."""

import threading
import warnings

import numpy as np
import pytest

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.origin import Origin
from core.errors import BadDictionaryError, DoesNotFitError
from tests.doubles.planted import planted_dictionary

W_SKIP = {"W_skip": np.eye(8)}
GATED_LIKE = {"standard": {}, "jumprelu": {}, "gated": {}, "transcoder": {}, "jumprelu_transcoder": {}}
GATED_LIKE |= {"skip_transcoder": W_SKIP, "jumprelu_skip_transcoder": W_SKIP}

FOLDED = "a54fce04b8aff2c1ea9a16a29ceda86e0f49cf9903c863da0a4f147cbf15a439"
PLAIN = "0eb76f16f3f27403ef67ba2ee8302e1f69a22e20c182a601bede62391dc25730"


def inputs(n: int = 200, d_in: int = 8) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(n, d_in)).astype(np.float32)


def by_gate(dictionary: Dictionary, x: np.ndarray) -> np.ndarray:
    """Encode as AffineGate says, in float64."""
    gate = dictionary.affine_gate()
    z = (x.astype(np.float64) - dictionary.input_bias) @ dictionary.W_enc
    return np.where(z > gate.cutoff, gate.scale * z + gate.offset, 0)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("subtracts", [True, False])
@pytest.mark.parametrize("architecture", GATED_LIKE)
def test_the_affine_gate_is_encode(architecture, subtracts, fold):
    dictionary = planted_dictionary(
        architecture, apply_b_dec_to_input=subtracts, fold_decoder_norms=fold, tensors=GATED_LIKE[architecture]
    )
    acts = dictionary.encode(inputs())
    assert 0.1 < (acts != 0).mean() < 0.9
    np.testing.assert_allclose(by_gate(dictionary, inputs()), acts, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fold", [True, False])
def test_the_affine_gate_of_a_negative_threshold_still_has_its_relu(fold):
    thresholds = {"threshold": np.linspace(-1, 1, 12)}
    dictionary = planted_dictionary("jumprelu", tensors=thresholds, fold_decoder_norms=fold)
    acts = dictionary.encode(inputs())
    assert (acts >= 0).all()
    np.testing.assert_allclose(by_gate(dictionary, inputs()), acts, rtol=1e-5, atol=1e-5)


def test_the_affine_gate_of_a_gated_dictionary_needs_both_paths_open():
    # One feature reads x itself. Gate open for x > -2, magnitude e^r * x + b for x > 1: both for x > 1.
    tensors = {
        "W_enc": [[1.0]],
        "W_dec": [[1.0]],
        "b_dec": [0.0],
        "b_gate": [2.0],
        "b_mag": [-2.0],
        "r_mag": [np.log(2)],
    }
    dictionary = planted_dictionary("gated", d_in=1, d_sae=1, tensors={k: np.array(v) for k, v in tensors.items()})
    gate = dictionary.affine_gate()
    assert (gate.scale[0], gate.offset[0], gate.cutoff[0]) == pytest.approx((2, -2, 1))
    x = np.array([[-3.0], [0.0], [0.9], [1.5]], np.float32)
    assert dictionary.encode(x)[:, 0] == pytest.approx([0, 0, 0, 1])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"architecture": "topk"}, "topk features compete with each other for each token"),
        ({"architecture": "abstopk"}, "abstopk features compete"),
        ({"architecture": "standard", "normalize_activations": "layer_norm"}, r"normalises each input \(layer_norm\)"),
    ],
)
def test_a_dictionary_without_that_form_says_why(options, reason):
    dictionary = planted_dictionary(**options)
    with pytest.raises(DoesNotFitError, match=f"has no additive form: .*{reason}.*Expected .*; use the plain grid"):
        dictionary.affine_gate()


@pytest.mark.parametrize("options", [{}, {"normalize_activations": "expected_average_only_in"}])
def test_a_rescaling_that_sae_lens_does_not_do_leaves_a_dictionary_additive(options):
    dictionary = planted_dictionary("standard", **options)
    assert dictionary.not_additive_because is None
    np.testing.assert_allclose(by_gate(dictionary, inputs()), dictionary.encode(inputs()), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_decoder_row_whose_squares_float32_cannot_hold_folds_to_length_1():
    plain = planted_dictionary(fold_decoder_norms=False)
    lengths = 10.0 ** np.arange(-7, 29, 3)  # x_hat needs acts as small as these are large
    W_dec = plain.W_dec / np.linalg.norm(plain.W_dec, axis=1, keepdims=True) * lengths[:, None]
    W_enc = plain.W_enc / lengths
    folded = planted_dictionary(tensors={"W_dec": W_dec, "W_enc": W_enc, "b_enc": np.zeros(12)})
    assert np.linalg.norm(folded.W_dec.astype(float), axis=1) == pytest.approx(np.ones(12), abs=1e-6)
    np.testing.assert_allclose(folded.W_enc, plain.W_enc, rtol=1e-5)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "gated", "jumprelu", "topk", "topk rescaled", "transcoder"])
def test_what_fires_passes_its_pre_activation(architecture, fold):
    architecture, _, rescaled = architecture.partition(" ")
    dictionary = planted_dictionary(
        architecture, fold_decoder_norms=fold, rescale_acts_by_decoder_norm=bool(rescaled), normalize_activations="none"
    )
    acts, pre_acts = dictionary.encode_with_pre_acts(inputs())
    fires = acts != 0
    np.testing.assert_array_equal(acts, dictionary.encode(inputs()))
    np.testing.assert_allclose(acts[fires], pre_acts[fires], rtol=1e-5)
    assert not np.isnan(pre_acts).any()


def test_the_content_hash_follows_what_changes_the_numbers():
    base = {"architecture": "topk", "rescale_acts_by_decoder_norm": True}
    changes = [
        {},
        {"seed": 1},
        {"fold_decoder_norms": False},
        {"k": 4},
        {"hook_name": "blocks.1.hook_resid_pre"},
        {"apply_b_dec_to_input": False},
        {"normalize_activations": "layer_norm"},
        {"context_size": 7},
        {"metadata": {"prepend_bos": True}},
        {"metadata": {"model_from_pretrained_kwargs": {"center_writing_weights": True}}},
        {"architecture": "abstopk"},
    ]
    hashes = [planted_dictionary(**(base | change)).sha256 for change in changes]
    assert len(set(hashes)) == len(changes)
    assert hashes[0] == planted_dictionary(**base).sha256


def test_one_changed_weight_changes_the_content_hash():
    plain = planted_dictionary()
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        changed = plain._tensors[name].copy()
        changed.flat[-1] += 1e-3
        assert planted_dictionary(tensors={name: changed}, fold_decoder_norms=False).sha256 != unfolded_hash()


def unfolded_hash() -> str:
    return planted_dictionary(fold_decoder_norms=False).sha256


def test_names_do_not_change_the_content_hash():
    plain = planted_dictionary()
    assert planted_dictionary(title="other", published={"l0": 3.0}).sha256 == plain.sha256
    moved = Dictionary(
        id="folder/elsewhere",
        title="moved",
        config=plain.config,
        raw_config=plain._raw_config | {"device": "cuda", "dtype": "float16"},
        tensors=planted_dictionary(fold_decoder_norms=False)._tensors,
        origin=Origin(labels={"width": 12}),
    )
    assert moved.sha256 == plain.sha256


@pytest.mark.parametrize("fold", [True, False])
def test_content_hashes_are_those_that_stored_results_are_named_after(fold):
    W_dec = np.outer(2.0 ** np.arange(6), [3, 0, -4, 0])  # of lengths that float32 holds
    W_enc, b_enc = np.arange(24).reshape(4, 6) / 8 - 1, np.arange(6) / 4 - 1
    tensors = {"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": np.arange(4) / 2}
    dictionary = planted_dictionary(d_in=4, d_sae=6, tensors=tensors, fold_decoder_norms=fold)
    assert dictionary.sha256 == (FOLDED if fold else PLAIN)
    assert dictionary.folded_sha256 == FOLDED


def test_settings_only_sae_lens_knows_change_the_content_hash():
    plain = planted_dictionary()

    def with_setting(**raw):
        return Dictionary(
            id="x", title="x", config=plain.config, raw_config=plain._raw_config | raw, tensors=plain._tensors
        ).sha256

    assert with_setting(residual_threshold=0.1) != with_setting(residual_threshold=0.2)


def test_a_dictionary_of_a_centred_model_is_built_without_a_warning():
    # sae-lens warns that the model must be loaded so; find_model does.
    metadata = {"model_from_pretrained_kwargs": {"center_writing_weights": True}, "sae_lens_version": "6.54.12"}
    dictionary = planted_dictionary(metadata=metadata)
    assert dictionary.config.center_writing_weights
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dictionary.encode(inputs())


def test_nobody_can_write_into_the_weights():
    dictionary = planted_dictionary("gated")
    for array in (dictionary.W_enc, dictionary.W_dec, dictionary.b_dec, dictionary.b_enc):
        with pytest.raises(ValueError, match="read-only"):
            array.flat[0] = 1


def test_a_dead_decoder_row_survives_folding():
    W_dec = np.random.default_rng(0).normal(size=(12, 8))
    W_dec[4] = 0
    dictionary = planted_dictionary(tensors={"W_dec": W_dec})
    assert np.isfinite(dictionary.encode(inputs())).all()
    assert (dictionary.W_dec[4] == 0).all()


def test_wrong_weights_in_memory_are_refused_too():
    with pytest.raises(BadDictionaryError, match=r"b_enc has shape \(3,\), expected \(12,\).*Check that"):
        planted_dictionary(tensors={"b_enc": np.zeros(3)})


@pytest.mark.parametrize("use", ["encode", "reconstruct", "encode_with_pre_acts"])
def test_the_lock_is_held_while_a_dictionary_runs(use):
    dictionary = planted_dictionary(normalize_activations="layer_norm")
    got = []

    def try_the_lock(*args):
        def attempt():
            got.append(dictionary.lock.acquire(blocking=False))

        other = threading.Thread(target=attempt)
        other.start()
        other.join()

    dictionary.sae.hook_sae_acts_post.register_forward_hook(try_the_lock)
    getattr(dictionary, use)(inputs())
    assert got == [False]
    assert dictionary.lock.acquire(blocking=False)


def test_four_threads_on_one_normalising_dictionary_all_get_their_own_answer():
    dictionary = planted_dictionary(normalize_activations="layer_norm")
    batches = [inputs(n) * n for n in (3, 50, 7, 90)]
    expected = [dictionary.reconstruct(x) for x in batches]
    together, wrong = threading.Barrier(4), []

    def run(x, answer):
        together.wait()
        for _ in range(20):
            found = dictionary.reconstruct(x)
            if found.shape != answer.shape or not np.allclose(found, answer):
                wrong.append(len(x))

    threads = [threading.Thread(target=run, args=pair) for pair in zip(batches, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_layer_is_read_from_the_hook_name():
    assert planted_dictionary(hook_name="blocks.8.hook_resid_pre").config.layer == 8
    assert planted_dictionary(hook_name="hook_embed").config.layer is None
