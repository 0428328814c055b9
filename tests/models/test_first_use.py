"""What is compared when a hook of a model is first used: values, their places in the stream, and within what."""

from types import SimpleNamespace

import pytest

from core.models.proof import Proof, WrongNumbersError, plainest_attention, stream_names, tokens_to_try


def block(n: int = 0, *, seed: int = 0, size: float = 1.0) -> dict:
    """What passes in one block: what enters, plus both parts, leaves, and enters the next."""
    import torch

    pre, attn, mlp = size * torch.randn(3, 1, 16, 8, generator=torch.Generator().manual_seed(seed))
    named = {"hook_resid_pre": pre, "hook_attn_out": attn, "hook_resid_mid": pre + attn, "hook_mlp_out": mlp}
    read = {f"blocks.{n}.{point}": value for point, value in (named | {"hook_resid_post": pre + attn + mlp}).items()}
    return read | {f"blocks.{n + 1}.hook_resid_pre": pre + attn + mlp, "logits": pre[0]}


def check(names, read, *, ours=None, states=(), dtype="float32") -> None:
    Proof("m", names, read | (ours or {}), read, states, dtype).check()


def test_every_hook_is_held_to_the_model_on_its_own_and_so_are_the_logits():
    read = block()
    names = ["blocks.0.hook_resid_pre", "blocks.0.hook_resid_post"]
    check(names, read)
    for name in (*names, "logits"):
        with pytest.raises(WrongNumbersError, match=rf"{name} of m .* on its own"):
            check(names, read, ours={name: read[name] + 1})


@pytest.mark.parametrize("changed", ["blocks.0.hook_attn_out", "blocks.0.hook_mlp_out"])
def test_every_hook_is_held_to_its_meaning_not_the_first_alone(changed):
    read = block() | {changed: block(seed=1)[changed]}
    with pytest.raises(WrongNumbersError, match=rf"{changed} of m .* as a part of the stream"):
        check(["blocks.0.hook_resid_pre", changed], read)


def test_what_stands_between_attention_and_mlp_is_what_enters_plus_attention():
    read = block() | {"blocks.0.hook_resid_mid": block(seed=1)["blocks.0.hook_resid_mid"]}
    with pytest.raises(WrongNumbersError, match="as a part of the stream before the MLP"):
        check(["blocks.0.hook_resid_mid"], read)


def test_what_leaves_a_block_enters_the_next():
    assert stream_names("blocks.7.hook_resid_post") == ["blocks.8.hook_resid_pre"]
    read = block()
    check(["blocks.0.hook_resid_post"], read)
    with pytest.raises(WrongNumbersError, match="where it enters the next block"):
        check(["blocks.0.hook_resid_post"], read | {"blocks.1.hook_resid_pre": read["blocks.0.hook_resid_pre"]})


def test_embedding_and_position_make_what_enters_the_first_block():
    whole, position = block()["blocks.0.hook_resid_pre"], block(seed=1)["blocks.0.hook_resid_pre"]
    read = {"hook_embed": whole - position, "hook_pos_embed": position, "blocks.0.hook_resid_pre": whole}
    read |= {"logits": whole[0]}
    check(["hook_embed"], read)
    with pytest.raises(WrongNumbersError, match="as a part of what enters block 0"):
        check(["hook_embed"], read | {"hook_pos_embed": 2 * position})


def test_a_stream_is_one_of_transformers_hidden_states_where_it_has_any_of_this_shape():
    read = block(3)
    pre = read["blocks.3.hook_resid_pre"]
    check(["blocks.3.hook_resid_pre"], read, states=(pre + 9, pre, pre - 9))
    check(["blocks.3.hook_resid_pre"], read, states=(pre[..., :4],))
    with pytest.raises(WrongNumbersError, match="in transformers' hidden_states"):
        check(["blocks.3.hook_resid_pre"], read, states=(pre + 9, pre - 9))


def test_what_enters_the_first_block_need_not_be_a_hidden_state():
    """Mamba's begin after it."""
    read = block()
    check(["blocks.0.hook_resid_pre"], read, states=(read["blocks.0.hook_resid_post"],))


@pytest.mark.parametrize(
    ("dtype", "off", "tokens", "size", "passes"),
    [
        ("float32", 0.5, 16, 1000, True),
        ("float32", 20, 1, 1000, False),
        ("float32", 0.5, 1, 1, False),
        ("bfloat16", 20, 7, 1000, True),
        ("bfloat16", 900, 7, 1000, True),
        ("bfloat16", 900, 9, 1000, False),
        ("bfloat16", 40, 16, 1000, True),
        ("float16", 5, 16, 1000, True),
        ("float16", 200, 16, 1000, False),
    ],
)
def test_tolerance_is_of_the_largest_number_and_one_token_counts_in_float32_alone(dtype, off, tokens, size, passes):
    """The middle token counts in short numbers, where rounding may send a few tokens to other experts."""
    read = block(size=size / 3)
    name = "blocks.0.hook_resid_pre"
    moved = read[name].clone()
    moved[:, :tokens, 3] += off
    if passes:
        check([name], read, ours={name: moved}, dtype=dtype)
    else:
        with pytest.raises(WrongNumbersError, match=f"off by {off:.1g}"[:8]):
            check([name], read, ours={name: moved}, dtype=dtype)


def test_tokens_to_try_are_sixteen_of_the_vocabulary_and_none_that_stands_for_a_picture():
    found = tokens_to_try(50_000, 64, SimpleNamespace())
    assert len(set(found)) == 16
    assert max(found) < 50_000
    fewer = tokens_to_try(
        50_000, 64, SimpleNamespace(image_token_id=found[2], audio_token_index=found[5], other=found[0])
    )
    assert len(fewer) == 16
    assert {found[2], found[5]}.isdisjoint(fewer)
    assert found[0] in fewer
    assert tokens_to_try(50_000, 5, SimpleNamespace()) == found[:5]


@pytest.mark.parametrize("before", ["sdpa", "eager", None])
def test_attention_is_the_plainest_meanwhile_and_what_it_was_afterwards(before):
    told = []
    module = SimpleNamespace(config=SimpleNamespace(_attn_implementation=before), set_attn_implementation=told.append)

    def fails() -> None:
        assert told == (["eager"] if before == "sdpa" else [])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), plainest_attention(module):
        fails()
    assert told == (["eager", "sdpa"] if before == "sdpa" else [])
