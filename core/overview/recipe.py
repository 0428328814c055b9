"""What a dictionary is and exactly how it is used here, line by line."""

from dataclasses import dataclass

from core.amounts import of_bytes
from core.dictionaries.config import TRANSCODERS, UNFOLDED_NORMALISATIONS
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.parsing import MODEL_OPTIONS
from core.dictionaries.sources import sources
from core.dictionaries.weights import can_fold

_LONGEST = 300


@dataclass(frozen=True)
class RecipeLine:
    """One fact or setting. Values come from unchecked files: escape them."""

    title: str
    value: str
    meaning: str = ""


def facts(dictionary: Dictionary) -> list[RecipeLine]:
    """Say what a dictionary is and where it comes from. Unknown facts are left out."""
    config, labels, metadata = dictionary.config, dictionary.origin.labels, dictionary.metadata
    source = sources().get(dictionary.id.partition("/")[0])
    saved = "" if config.kind == config.architecture else f", saved as {config.architecture}"
    lines = [
        ("Source", source.TITLE if source else "", "Where it was opened from."),
        ("Id", dictionary.id, "What the address of this page holds."),
        ("Release", labels.get("release"), "The set of dictionaries it was published with."),
        ("Repository", labels.get("repository"), "Its repository on the hub."),
        ("Revision", labels.get("revision"), "Which commit of the repository."),
        ("Content", dictionary.sha256[:16], "Hash of the weights as used and of every setting that changes them."),
        ("Kind", f"{config.kind}{saved}", "Its architecture in training, and the one it runs as."),
        ("Active features, k", config.k, "How many features a TopK dictionary keeps on a token."),
        ("Model", config.model_name, "The language model that it reads."),
        ("Hook", ", ".join(config.hooks_in), "The place in the model where it reads, or all of them."),
        ("Hook it writes to", config.hook_name_out, "The hook whose value a transcoder's output stands for."),
        ("Head", config.hook_head_index, "The one head of the hook that it reads."),
        ("Matryoshka widths", _widths(config.matryoshka_widths), "So many first features are a dictionary too."),
        ("Layer", config.layer, "Block of the model with the hook, counted from 0."),
        ("Input width, d_in", f"{config.d_in:,}", "Length of the vectors it reads."),
        ("Output width, d_out", f"{config.d_out:,}" if config.d_out != config.d_in else None, "Length of its output."),
        ("Features, d_sae", f"{config.d_sae:,}", "How many features it has."),
        ("Format", dictionary.origin.format, "What kind of files it was read from."),
        ("In memory", of_bytes(dictionary.nbytes), "Bytes of its weights as float32."),
        ("Training text", metadata.get("dataset_path"), "The data set that its config names."),
        ("Neuronpedia", labels.get("neuronpedia"), "Its name there."),
    ]
    stated = [RecipeLine(title, _short(value), meaning) for title, value, meaning in lines if value not in (None, "")]
    concluded = dictionary.origin.inferred
    understood = [RecipeLine("Understood", _short(text), "Stated in other words.") for text in dictionary.origin.stated]
    return (
        stated + understood + [RecipeLine("Concluded", _short(text), "Not stated in its files.") for text in concluded]
    )


def recipe(dictionary: Dictionary) -> list[RecipeLine]:
    """Say every choice that changes a number, and how this app makes it."""
    config = dictionary.config
    context = f"{config.context_size:,} tokens" if config.context_size else "not stated"
    lines = [
        (
            "BOS",
            "before every row" if config.prepend_bos else "none",
            "As in its training. The text picker can choose otherwise.",
        ),
        ("Context", context, "Length of the rows it was trained on."),
        ("Numbers", "float32", "The type of weights and activations here, whatever type the files have."),
        ("Decoder norms", *_folding(dictionary)),
        ("Input normalisation", *_normalisation(config.normalize_activations)),
        ("Decoder bias", *_decoder_bias(dictionary)),
        ("Writing weights", *_centring(config.center_writing_weights)),
    ]
    if config.reshape_activations == "hook_z":
        lines.append(("Heads", "joined to one vector", "The outputs of all heads on a token, one after the other."))
    return [RecipeLine(*line) for line in (*lines, *_model_options(dictionary))]


def _folding(dictionary: Dictionary) -> tuple[str, str]:
    if dictionary.folded:
        return (
            "folded",
            "Decoder rows have length 1; activations are multiplied by the old length. Outputs are the same.",
        )
    config = dictionary.config
    why = "switched off in the sidebar" if can_fold(config) else "scaling would change which are active"
    if config.writes_elsewhere_too:
        why = "activations are the same for every place that it writes to"
    return "as stored", f"Activations of different features are comparable only after multiplying by the norm; {why}."


def _normalisation(setting: str) -> tuple[str, str]:
    if setting == "none":
        return "none", "Inputs are read as they are."
    if setting in UNFOLDED_NORMALISATIONS:
        return f"{setting}, not done here", "sae-lens folds it into the weights after training; see the health badge."
    return setting, "sae-lens applies it to every input and reverses it on the output."


def _decoder_bias(dictionary: Dictionary) -> tuple[str, str]:
    if dictionary.config.apply_b_dec_to_input:
        return "subtracted from the input", "The encoder reads x − b_dec."
    why = "it belongs to the output" if dictionary.config.architecture in TRANSCODERS else "as its config says"
    return "not subtracted from the input", f"The encoder reads x; {why}."


def _centring(centred: bool) -> tuple[str, str]:
    if centred:
        return (
            "centred",
            "Every x has mean 0 over its dimensions if the model has LayerNorm. Its outputs are the same.",
        )
    return "as in the model's files", "Nothing is subtracted from what the model writes."


def _model_options(dictionary: Dictionary) -> list[tuple[str, str, str]]:
    """Return how the config wants the model loaded, and whether this app does so."""
    asked = dictionary.metadata.get("model_from_pretrained_kwargs")
    if not isinstance(asked, dict) or not asked:
        return []
    words = {"center_writing_weights": "Done here."} | dict.fromkeys(MODEL_OPTIONS - {"center_writing_weights"}, "")
    lines = []
    for name, value in asked.items():
        known = words.get(name, "Not done here, so the dictionary may read other values than in training.")
        meaning = known or "Not done here. It changes nothing that the dictionary reads."
        lines.append((f"Model option {name}"[:80], _short(value), meaning))
    return lines


def _widths(widths: tuple[int, ...]) -> str:
    return ", ".join(f"{width:,}" for width in widths)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
