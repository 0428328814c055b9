"""Default examples suit the model's tokenizer, whatever it is: they are read, and prompts have equally many tokens."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from core.errors import CorpusError
from core.models.language_model import LanguageModel
from core.text.suited import OWN, suited
from core.text.texts import tokenise
from tests.doubles.planted import planted_model
from ui.text.examples import ONE, PROMPTS, TWO


def tokenizer(kind, vocab, *, lower=False, byte_level=False, words=False, **options):
    found = Tokenizer(kind(vocab={text: i for i, text in enumerate(vocab)}, **options))
    if lower:
        found.normalizer = normalizers.Lowercase()
    if byte_level:
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        found.decoder = decoders.ByteLevel()
    elif words:
        found.pre_tokenizer = pre_tokenizers.Whitespace()
    return found


BYTES = sorted(pre_tokenizers.ByteLevel.alphabet(), key=ord)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), *"(){}[]:.,='\"_"]
GENES = [*"ACGT", *(a + b for a in "ACGT" for b in "ACGT")]
WORDS = ["[UNK]", *(f"word{i}" for i in range(60))]
PATH, MERGES = [*BYTES, "pa", "th", "path"], [("p", "a"), ("t", "h"), ("pa", "th")]
TOKENIZERS = {
    "bytes": tokenizer(models.BPE, BYTES, byte_level=True, merges=[]),
    "bytes with path as one": tokenizer(models.BPE, PATH, byte_level=True, merges=MERGES),
    "lower-case pieces": tokenizer(models.WordPiece, PIECES, lower=True, words=True, unk_token="[UNK]"),
    "words it does not know": tokenizer(models.WordLevel, WORDS, words=True, unk_token="[UNK]"),
    "letters of genes": tokenizer(models.BPE, GENES, merges=[("A", "C"), ("G", "T")]),
}


@pytest.fixture
def model(tmp_path):
    """Return a function that gives the planted model another tokenizer."""

    def made(found: Tokenizer) -> LanguageModel:
        folder = planted_model(tmp_path).folder
        found.save(str(folder / "tokenizer.json"))
        return LanguageModel(folder)

    return made


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(
    ("examples", "aligned"), [({name: (text,) for name, text in ONE.items()}, False), (TWO, False), (PROMPTS, True)]
)
def test_every_example_on_offer_is_read_and_prompts_have_equally_many_tokens(name, examples, aligned, model):
    other = model(TOKENIZERS[name])
    offered = suited(other, examples, aligned=aligned)
    assert offered
    for texts in offered.values():
        assert len(texts) == len(next(iter(examples.values())))
        read = [tokenise(other, [text]) for text in texts]
        assert all(len(one.ids) > 2 for one in read)
        assert len(set(texts)) == len(texts)
        if aligned:
            assert len({len(one.ids) for one in read}) == 1
    assert (OWN in offered) == (name in ("words it does not know", "letters of genes"))


def test_a_prompt_that_has_other_tokens_here_is_not_offered(model):
    assert "path or name" in suited(model(TOKENIZERS["bytes"]), PROMPTS, aligned=True)
    offered = suited(model(TOKENIZERS["bytes with path as one"]), PROMPTS, aligned=True)
    assert "path or name" not in offered
    assert "cat or dog" in offered


def test_a_tokenizer_that_reads_nothing_of_its_own_says_so(model):
    nothing = tokenizer(models.WordLevel, ["[UNK]"], words=True, unk_token="[UNK]")
    with pytest.raises(CorpusError, match="reads none of its own tokens"):
        suited(model(nothing), PROMPTS, aligned=True)
