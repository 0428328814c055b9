"""A notebook goes on on the CPU with a pass whose card failed, by one call, and its result says so."""

import pytest

import sae_loupe as loupe
from core.activations import store as stores
from tests.doubles import planted_card

TEXT = {"text": [[i % 97 for i in range(row, row + 8)] for row in range(12)]}


@pytest.fixture
def sae(tmp_path, monkeypatch):
    planted_card.put_in(monkeypatch)
    monkeypatch.setattr(stores, "_TOKENS_PER_BLOCK", 8)
    monkeypatch.setattr(stores, "_LEAST_ROWS", 4)
    return loupe.open("demo/layer0-standard-2048", device="cuda", cache=tmp_path)


def test_a_pass_goes_on_on_the_cpu_behind_what_the_card_stored(sae, monkeypatch):
    planted_card.fail_after(monkeypatch, 1)
    with pytest.raises(loupe.LoupeError, match=r"Planted card \(cuda:0\) failed"):
        sae.token_pass(**TEXT)
    found = sae.token_pass_on_cpu(**TEXT)
    assert found.note.endswith("Planted card, from row 4 on CPU")
    assert found.provenance["settings"]["device"] == "Planted card, from row 4 on CPU"
    expected = loupe.open("demo/layer0-standard-2048", device="cpu", cache=sae.store.root.parent / "other")
    assert found.count.tolist() == expected.token_pass(**TEXT).count.tolist()
    assert found.quantiles(0.5).shape == (2048, 1)
    with pytest.raises(loupe.LoupeError, match="failed"):  # what was found is not taken for the card's own
        sae.token_pass(**TEXT)


def test_a_pass_that_the_card_has_whole_stays_the_cards(sae):
    whole = sae.token_pass(**TEXT)
    again = sae.token_pass_on_cpu(**TEXT)
    assert again.note == whole.note
    assert whole.note.endswith("Planted card")


def test_without_any_stored_part_the_whole_pass_is_the_cpus(sae):
    assert "Planted" not in sae.token_pass_on_cpu(**TEXT).note
