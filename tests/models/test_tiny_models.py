"""The tiny models are what transformers makes of their folders, and no number of theirs is negligible."""

import pytest

from tests.doubles.tiny_models import N_CTX, TINY, tiny_model, write_tiny


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_folder_gives_the_model_that_was_drawn_and_its_logits_vary(tmp_path, name):
    import torch

    drawn = tiny_model(name)
    read = type(drawn).from_pretrained(write_tiny(name, tmp_path)).eval()
    tokens = torch.arange(1, 13)[None] * 17
    assert tokens.shape[1] < N_CTX
    with torch.no_grad():
        expected, found = (model(tokens, use_cache=False).logits for model in (drawn, read))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert expected.std(dim=-1).min() > 0.05
    for part, parameter in drawn.named_parameters():
        assert parameter.numel() == 1 or parameter.std() > 0.05, part
