"""A .pt file of tensors under sae-lens' names, alone or with NAME_cfg.json beside it.

So are the attention dictionaries of Kissane et al. (2024) saved, which read hook_z.
"""

from core.dictionaries.formats import ALL_FITS, MAYBE, NAMES_FIT, NO, Contents, Place, layout, rename
from core.files.torch_saves import mentions, read_torch

NAME = "plain"
TITLE = "a .pt file with W_enc, W_dec, b_enc and b_dec"
_NAMES = ("W_enc", "W_dec", "b_enc", "b_dec")


def score(place: Place) -> int:
    """By the names in the file; one with a threshold or groups is rather of another library."""
    if not place.file or not place.file.endswith((".pt", ".pth")) or not place.may_read(place.file):
        return NO
    if not mentions(place.path, *_NAMES):
        return NO
    if place.glance(_config(place)).keys() >= {"act_name"}:
        return ALL_FITS
    return MAYBE if mentions(place.path, "threshold") else NAMES_FIT


def files(place: Place) -> tuple[str, ...]:
    names = (place.file, _config(place)) if place.file else ()
    return tuple(name for name in names if place.may_read(name))


def read(place: Place) -> Contents:
    """Read a standard dictionary, or a JumpReLU one where there is a threshold. Raises BadDictionaryError."""
    path = place.itself()
    config = place.json(_config(place)) if place.may_read(_config(place)) else {}
    stored = read_torch(path)
    jumps = "threshold" in stored
    tensors = rename(stored, {name: name for name in (*_NAMES, *(["threshold"] if jumps else []))}, path)
    # The published ones, whose config says no model, are all of GPT-2 small.
    model = "gpt2-small" if str(config.get("act_name", "")).endswith("hook_z") and "gpt2-small" in path.name else None
    raw = layout(
        "jumprelu" if jumps else "standard",
        tensors,
        path,
        metadata={"hook_name": config.get("act_name"), "model_name": model},
        d_in=config.get("act_size"),
        d_sae=config.get("dict_size"),
    )
    inferred = ("b_dec is subtracted from the input, which the file does not say",)
    if model:
        inferred += (f"model {model} from the file's name",)
    return Contents(raw, tensors, _config(place), inferred=inferred)


def _config(place: Place) -> str:
    return (place.file or "").rpartition(".")[0] + "_cfg.json"
