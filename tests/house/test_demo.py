"""The committed demo is what its index and README say."""

import json
from functools import cache

import numpy as np
import pytest

from core.activations.reconstruction import error_by_position
from core.corpus.streams import sample_rows, standard_library, token_stream
from core.dictionaries.sources import entries, open_dictionary
from core.models.language_model import LanguageModel
from core.models.search import check_fit
from core.positions.methods import position_statistics
from core.positions.scores import peak, position_score, suggested_count
from core.workspace import Workspace
from demo.settings import DEMO, DICTIONARIES, DICTIONARIES_DIR, MODEL_DIR, SEPARATOR
from demo.text import is_held_out

INDEX = DICTIONARIES_DIR / "index.json"
pytestmark = pytest.mark.skipif(not INDEX.exists(), reason="the demo is not trained yet: python -m demo.train")
NAMES = [settings.name for settings in DICTIONARIES]
LAYER_0 = [settings.name for settings in DICTIONARIES if settings.layer == 0]


@cache
def model():
    return LanguageModel(MODEL_DIR)


@cache
def dictionary(name):
    return open_dictionary(f"demo/{name}", Workspace())


@cache
def stdlib_rows(n_rows, context):
    tokenizer = model().tokenizer
    documents = [d for d in standard_library() if is_held_out(d)]
    stream = token_stream(tokenizer, documents, separator=tokenizer.token_to_id(SEPARATOR))
    return sample_rows(stream, n_rows=n_rows, context=context, seed=0).astype(np.int64)


@cache
def statistics(name):
    return position_statistics(dictionary(name), model())


def l0_and_fve(name):
    x = model().activations(stdlib_rows(20, 128), dictionary(name).config.hook_name).reshape(-1, 128)
    error = ((x - dictionary(name).reconstruct(x)) ** 2).sum()
    acts = dictionary(name).encode(x)
    return np.count_nonzero(acts) / len(x), 1 - error / ((x - x.mean(0)) ** 2).sum()


def test_index_settings_and_folders_name_the_same_dictionaries():
    folders = {path.name for path in DICTIONARIES_DIR.iterdir() if path.is_dir()}
    assert list(json.loads(INDEX.read_text())) == NAMES
    assert folders == set(NAMES)


def test_the_app_lists_all_with_their_labels():
    listed = {entry.id: entry for entry in entries(Workspace())}
    for settings in DICTIONARIES:
        entry = listed[f"demo/{settings.name}"]
        assert (entry.title, dict(entry.labels)) == (settings.title, settings.labels)


def test_all_weights_are_half_precision_and_take_at_most_40_mb():
    from safetensors.numpy import load_file

    files = list(DEMO.rglob("*.safetensors"))
    assert len(files) == len(NAMES) + 1
    assert sum(path.stat().st_size for path in files) <= 40e6
    for path in files:
        assert {array.dtype for array in load_file(path).values()} == {np.dtype(np.float16)}, path


def test_dictionaries_that_differ_in_their_seed_alone_are_trained_in_one_run():
    from demo.train_dictionaries import alike

    groups = [[settings.name for settings in group] for group in alike(DICTIONARIES)]
    several = [group for group in groups if len(group) > 1]
    base = "layer2-standard-2048"
    assert several == [[base, *(f"{base}-seed{seed}" for seed in (1, 2, 3))]]
    assert sorted(name for group in groups for name in group) == sorted(NAMES)


@pytest.mark.parametrize("settings", DICTIONARIES, ids=NAMES)
def test_a_dictionary_opens_and_fits_the_demo_model(settings):
    config = dictionary(settings.name).config
    assert (config.model_name, config.hook_name) == (model().name, settings.hook_name)
    assert (config.kind, config.d_sae) == (settings.type, settings.width)
    assert (config.context_size, config.prepend_bos, config.normalize_activations) == (128, False, "none")
    assert dictionary(settings.name).folded
    check_fit(config, model())
    assert "/" not in (DICTIONARIES_DIR / settings.name / "cfg.json").read_text(), "a path got into the config"


@pytest.mark.parametrize(
    "name", ["layer2-topk-2048", "layer2-jumprelu-2048", "layer2-gated-2048", "layer0-batchtopk-2048"]
)
def test_sae_lens_reads_the_folder_the_same(name):
    import torch
    from sae_lens import SAE

    x = model().activations(stdlib_rows(20, 128)[:1], dictionary(name).config.hook_name)[0]
    with torch.no_grad():
        theirs = SAE.load_from_disk(DICTIONARIES_DIR / name, device="cpu", dtype="float32")(torch.from_numpy(x)).numpy()
    # Folding norms that are 1 to half precision moves an activation across its threshold now and then.
    assert np.linalg.norm(theirs - dictionary(name).reconstruct(x)) < 0.02 * np.linalg.norm(x - x.mean(0))


@pytest.mark.parametrize("settings", DICTIONARIES, ids=NAMES)
def test_published_quality_is_within_the_targets(settings):
    measured = dictionary(settings.name).origin.published
    assert measured["fve"] >= (0.9 if settings.layer == 0 else 0.75)
    assert 5 <= measured["l0"] <= 90
    assert measured["dead_share"] < 0.35
    assert 0.5 < measured["ce_recovered"] <= 1
    assert measured["n_tokens"] >= 200_000


@pytest.mark.parametrize("name", NAMES)
def test_quality_on_the_standard_library_is_about_what_is_published(name):
    l0, fve = l0_and_fve(name)
    published = dictionary(name).origin.published
    assert l0 == pytest.approx(published["l0"], rel=0.3)
    # A dictionary that saw prose alone explains some sources much worse than others.
    assert fve == pytest.approx(published["fve"], abs=0.2 if name.endswith("-prose") else 0.06)


@pytest.mark.parametrize("name", LAYER_0)
def test_positional_features_are_few_and_cover_the_context(name):
    stats = statistics(name)
    scores = position_score(stats)
    ranked = np.sort(scores)[::-1]
    count = suggested_count(stats)
    assert ranked[0] > 50 * ranked[500]
    assert 50 <= count <= 0.15 * len(scores)
    peaks = np.sort(peak(stats)[np.argsort(-scores)[:count]])
    assert np.diff(np.concatenate([[0], peaks, [127]])).max() <= 10


@pytest.mark.parametrize("name", LAYER_0)
def test_the_error_rises_beyond_the_training_context(name):
    nmse = error_by_position(dictionary(name), model(), stdlib_rows(10, 256)).nmse
    assert nmse[224:].mean() > 5 * nmse[:128].mean()
