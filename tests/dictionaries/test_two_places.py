"""What a transcoder reads and what it writes are told apart: in words, and in every badge and picker."""

import pytest

from core.dictionaries.spaces import place_of, two_places
from tests.doubles.pages import fine, page, text_of
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_pages import write_workspace


def test_a_transcoder_says_which_numbers_belong_to_which_place():
    transcoder = planted_dictionary("transcoder", hook_name="blocks.0.hook_resid_mid")
    assert two_places(transcoder).startswith("It reads blocks.0.hook_resid_mid and writes to blocks.0.hook_mlp_out. ")
    assert place_of(transcoder, "encoder") == "blocks.0.hook_resid_mid"
    assert place_of(transcoder, "decoder") == "blocks.0.hook_mlp_out"
    assert two_places(planted_dictionary()) is None


def test_many_hooks_are_said_by_the_first_and_the_last():
    hooks = [f"blocks.{layer}.hook_resid_mid" for layer in range(9)]
    metadata = {"read_hooks": hooks, "feature_blocks": 3}
    dictionary = planted_dictionary("transcoder", hook_name=hooks[-1], metadata=metadata)
    assert "reads 9 hooks from blocks.0.hook_resid_mid to blocks.8.hook_resid_mid" in two_places(dictionary)


@pytest.mark.parametrize("name", ["overview", "geometry", "logit_weights", "positions", "activations"])
def test_every_page_names_both_hooks(tmp_path, monkeypatch, name):
    write_workspace(tmp_path)
    planted_dictionary("transcoder", hook_name="blocks.0.hook_resid_mid").save(tmp_path / "transcoder")
    with page(tmp_path, monkeypatch, name) as open_page:
        at = open_page({"sae": f"folder/{tmp_path}/transcoder"})
        assert "It reads blocks.0.hook_resid_mid and writes to blocks.0.hook_mlp_out" in text_of(at)


def test_the_picker_of_directions_says_whose_space_they_are_in(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    planted_dictionary("transcoder", hook_name="blocks.0.hook_resid_mid").save(tmp_path / "transcoder")
    with page(tmp_path, monkeypatch, "geometry") as open_page:
        id = f"folder/{tmp_path}/transcoder"
        assert "the space of blocks.0.hook_mlp_out, which features write to" in text_of(fine(open_page({"sae": id})))
        encoder = text_of(fine(open_page({"sae": id, "side": "Encoder"})))
        assert "the space of blocks.0.hook_resid_mid, which features read" in encoder
