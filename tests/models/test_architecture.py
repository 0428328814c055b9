"""A config.json gives transformers' class, its modules without memory, and the names of its parts; or says why not."""

import json

import pytest

from core.errors import BadDictionaryError, DoesNotFitError
from core.models.architecture import Architecture, read_architecture
from tests.doubles.tiny_models import D_MODEL, D_VOCAB, TINY

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_hidden_layers": 2}
LLAMA |= {"num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 20}


def stored(name: str) -> dict:
    """Return config.json of a tiny model as save_pretrained writes it."""
    import transformers

    model_class = getattr(transformers, TINY[name][0])
    config = model_class.config_class(**TINY[name][1]).to_diff_dict()
    return json.loads(json.dumps(config | {"architectures": [model_class.__name__]}))


@pytest.mark.parametrize("name", TINY)
def test_every_part_of_a_model_is_found_in_its_modules_without_memory_for_weights(name):
    found = Architecture(stored(name), name)
    parts = found.adapter.component_mapping
    assert found.name == TINY[name][0] == type(found.meta).__name__
    assert {parameter.device.type for parameter in found.meta.parameters()} == {"meta"}
    embed, unembed, blocks = (found.meta.get_submodule(parts[part].name) for part in ("embed", "unembed", "blocks"))
    assert embed.weight.shape[0] == unembed.weight.shape[0] == D_VOCAB
    assert found.text_config.hidden_size == D_MODEL
    assert len(blocks) == found.text_config.num_hidden_layers


def test_a_folder_is_read_by_its_config_alone(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert read_architecture(tmp_path).config.hidden_size == 8


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b"[" * 100_000])
def test_a_config_that_is_none_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadDictionaryError, match=r"is no model that transformers can build .* Expected a config.json"):
        read_architecture(tmp_path)


@pytest.mark.parametrize("named", [["LlamaModel"], [], None, "odd"])
def test_a_model_saved_without_its_unembedding_is_the_one_with_it(named):
    assert Architecture(LLAMA | {"architectures": named}, "m").name == "LlamaForCausalLM"


def test_code_that_comes_with_a_model_is_refused_by_name():
    code = {"AutoModelForCausalLM": "modeling_shiny.ShinyForCausalLM"}
    with pytest.raises(BadDictionaryError, match=r"mine is of type 'shiny'.*never run here \(no trust_remote_code\)"):
        Architecture({"model_type": "shiny", "auto_map": code}, "mine")
    found = Architecture(LLAMA | {"auto_map": code}, "mine")
    assert found.meta.__class__.__module__.startswith("transformers."), "transformers' own code is used where it is"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "no-such"}, r"type 'no-such' .* which transformers \d\S+ does not have\. Expected one"),
        ({"model_type": None}, "type 'None'"),
        ({"model_type": ["llama"]}, r"type \"\['llama'\]\""),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "next tokens from left to right"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM, which does not predict next"),
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel, which does not predict"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, of at most 1000"),
        ({"hidden_size": "wide"}, "is no model that transformers can build"),
    ],
)
def test_a_config_that_cannot_be_used_is_explained(change, says):
    with pytest.raises(BadDictionaryError, match=says):
        _ = Architecture(LLAMA | change, "mine").meta


@pytest.mark.parametrize("change", [{"hidden_size": -8}, {"num_attention_heads": 0}, {"vocab_size": -1}])
def test_sizes_that_no_model_can_have_are_explained(change):
    with pytest.raises(BadDictionaryError, match="mine is no model that transformers can build"):
        _ = Architecture(LLAMA | change, "mine").meta


def test_kernels_that_a_config_names_are_not_asked_for():
    named = dict.fromkeys(("attn_implementation", "_attn_implementation"), "someone/kernels")
    nested = Architecture(stored("gemma3") | named, "mine")
    assert nested.config._attn_implementation == nested.text_config._attn_implementation == "eager"
    assert Architecture(LLAMA | named, "mine").meta.config._attn_implementation == "eager"


def test_an_architecture_without_a_map_is_named():
    gpt = {"model_type": "xlnet", "architectures": ["XLNetLMHeadModel"], "d_model": 8, "n_layer": 1, "n_head": 2}
    with pytest.raises(DoesNotFitError, match=r"TransformerLens \S+ has no map of XLNetLMHeadModel, which mine is"):
        _ = Architecture(gpt, "mine").adapter
