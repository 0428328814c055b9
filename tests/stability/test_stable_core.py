"""The stable core: a folder that sae-lens and the app open, which computes what its features compute in the whole."""

import io
import zipfile

import numpy as np
import pytest

from core.dictionaries.sources.folder import read_folder
from core.errors import DoesNotFitError
from core.stability.returning import stability
from core.stability.stable_core import core_table, stable_core, zipped
from tests.doubles.planted import planted_dictionary, planted_model
from tests.stability.test_returning import noisy

KEPT = [1, 4, 7, 8]


def with_seeds(architecture, **more):
    """A dictionary, and its stability in two seeds that have four of its features."""
    own = planted_dictionary(architecture, d_in=24, d_sae=16, **more)
    others = []
    for seed in (1, 2):
        other = planted_dictionary(architecture, d_in=24, d_sae=16, seed=seed)
        W_dec = other.W_dec.copy()
        W_dec[: len(KEPT)] = noisy(own.W_dec[KEPT], 0.05, seed)
        others.append(planted_dictionary(architecture, d_in=24, d_sae=16, tensors={"W_dec": W_dec}, seed=seed))
    return own, stability(own, others, threshold=0.97)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated", "topk"])
@pytest.mark.parametrize("fold", [True, False])
def test_sae_lens_and_the_app_open_the_core_and_get_what_its_features_give(architecture, fold, tmp_path):
    import torch
    from sae_lens import SAE

    own, found = with_seeds(architecture, fold_decoder_norms=fold)
    core = stable_core(own, found, times=2)
    with zipfile.ZipFile(io.BytesIO(zipped(core, "the-core"))) as file:
        assert {name.split("/")[0] for name in file.namelist()} == {"the-core"}
        file.extractall(tmp_path)
    ours = read_folder(tmp_path / "the-core", id="folder/x", title="x", fold_decoder_norms=False)
    theirs = SAE.load_from_disk(tmp_path / "the-core", device="cpu")
    x = np.random.default_rng(0).standard_normal((30, 24)).astype(np.float32)
    acts = core.encode(x)
    assert acts.shape == (30, len(KEPT))
    if architecture != "topk":  # whose k largest are those among the core
        assert acts == pytest.approx(own.encode(x)[:, KEPT], rel=1e-4, abs=1e-4)
        assert core.reconstruct(x) == pytest.approx(
            own.encode(x)[:, KEPT] @ own.W_dec[KEPT] + own.b_dec, rel=1e-4, abs=1e-3
        )
    assert ours.encode(x) == pytest.approx(acts, rel=1e-4, abs=1e-4)
    assert ours.reconstruct(x) == pytest.approx(core.reconstruct(x), rel=1e-4, abs=1e-3)
    with torch.no_grad():
        assert theirs(torch.from_numpy(x)).numpy() == pytest.approx(core.reconstruct(x), rel=1e-4, abs=1e-3)
    assert len(theirs.W_dec) == len(KEPT)


def test_the_same_core_gives_the_same_bytes():
    own, found = with_seeds("standard")
    assert zipped(stable_core(own, found, times=2), "x") == zipped(stable_core(own, found, times=2), "x")


def test_the_core_explains_less_than_the_whole_and_the_whole_core_as_much(tmp_path):
    model = planted_model(tmp_path)
    own = planted_dictionary()
    part = own.part(np.array([0, 5]), title="part")
    whole = own.part(np.arange(12), title="all")
    rows = np.random.default_rng(0).integers(1, 200, (8, 6))
    table = core_table([own, part, whole], model, rows)
    assert table["core_features"].tolist() == [12, 2, 12]
    assert table["fve"][2] == pytest.approx(table["fve"][0])
    assert table["l0"][1] < table["l0"][0]
    assert table["fve"][1] != table["fve"][0]


def test_no_features_and_features_that_need_each_other_are_refused():
    own, _ = with_seeds("standard")
    with pytest.raises(DoesNotFitError, match="None of the features"):
        own.part(np.array([], int), title="none")
    with pytest.raises(DoesNotFitError, match="of which some features make no dictionary"):
        planted_dictionary("matching_pursuit").part(np.array([1]), title="one")
