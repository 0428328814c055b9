"""Code to copy: Python that uses a dictionary with sae-lens and TransformerLens as this app does."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from core.dictionaries.dictionary import Dictionary
from core.installation import CHECKOUT, PROJECT, importable
from core.models import names
from core.models.config import HOOK_WIDTHS

_HOW = 'device="cpu", dtype="float32"'
_WORKSPACE = f"from {importable('core.workspace')} import Workspace"
_DEMO = Path("demo") if CHECKOUT else PROJECT / "demo"
"""A script from a checkout runs in its folder; one from an installed package runs anywhere."""
_PATH = "from pathlib import Path"


@dataclass
class _Code:
    """Lines of code, imports apart."""

    imports: list[str] = field(default_factory=lambda: ["import torch"])
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        imports = sorted(set(self.imports), key=lambda line: ("core." in line, line.startswith("from"), line))
        return "\n".join([*imports, "", *self.lines, ""])


def python_recipe(dictionary: Dictionary) -> str:
    """Return a script: open dictionary and model, read a text, encode it.

    Files that sae-lens cannot read, and models that TransformerLens does not know, are opened with this
    project's own readers; the script then runs in the project's folder.
    """
    code, config = _Code(), dictionary.config
    _open_dictionary(code, dictionary)
    if config.reshape_activations == "hook_z":
        code.lines.append("sae.turn_off_forward_pass_hook_z_reshaping()  # inputs are (batch, pos, n_heads * d_head)")
    _open_model(code, dictionary)
    flat = ".flatten(2)" if config.reshape_activations == "hook_z" else ""
    hooks = config.hooks_in
    x = f"cache[{hooks[0]!r}]{flat}"
    if len(hooks) > 1:
        x = f"torch.cat([cache[name] for name in {list(hooks)!r}], dim=-1)"
    # sae-lens has no architecture whose features read several places.
    own = "dictionary.encode(x.numpy())", "dictionary.reconstruct(x.numpy())"
    calls = ("sae.encode(x)", "sae(x)") if config.blocks == 1 else own
    code.lines += [
        "with torch.no_grad():",
        f"    {_run(dictionary, [*hooks, *_hook_out(dictionary)])}",
        f"    x = {x}",
        f"    acts = {calls[0]}",
        f"    x_hat = {calls[1]}",
        *(f"    target = cache[{name!r}]  # what x_hat should be" for name in _hook_out(dictionary)),
    ]
    return str(code)


def _in_transformer_lens(dictionary: Dictionary) -> bool:
    """Whether HookedTransformer knows the model by name, and has the hooks."""
    points = [hook.split(".", 2)[-1] for hook in (*dictionary.config.hooks_in, *_hook_out(dictionary))]
    old = all(point in HOOK_WIDTHS or point.startswith(("hook_", "ln_final")) for point in points)
    return old and names.repository(dictionary.config.model_name or "") is not None


def _run(dictionary: Dictionary, hooks: list[str]) -> str:
    if _in_transformer_lens(dictionary):
        return f"_, cache = model.run_with_cache(tokens, names_filter={hooks!r})"
    return f"cache = model.read(tokens, {hooks!r})"


def _hook_out(dictionary: Dictionary) -> list[str]:
    return [dictionary.config.hook_name_out] if dictionary.config.hook_name_out else []


def _open_dictionary(code: _Code, dictionary: Dictionary) -> None:
    source, _, key = dictionary.id.partition("/")
    user, _, rest = key.partition("/")
    repository, _, folder = rest.partition("/")
    calls = {
        "registry": f"SAE.from_pretrained({user!r}, {rest!r}, {_HOW})",
        "demo": f"SAE.load_from_disk({(_DEMO / 'dictionaries' / key).as_posix()!r}, {_HOW})",
        "folder": f"SAE.load_from_disk({key!r}, {_HOW})",
        "hub": f"SAE.from_pretrained({user + '/' + repository!r}, {folder!r}, {_HOW})",
    }
    theirs = dictionary.origin.format in ("", "sae-lens") and "#" not in key and "@" not in key
    if source in calls and (theirs or source == "registry"):
        code.imports.append("from sae_lens import SAE")
        code.lines.append(f"sae = {calls[source]}")
        code.lines += ["sae.fold_W_dec_norm()  # decoder rows of length 1"] if dictionary.folded else []
        return
    code.imports += [f"from {importable('core.dictionaries.sources')} import open_dictionary", _PATH, _WORKSPACE]
    code.lines += [
        "# sae-lens does not read these files as they are: this project's reader does.",
        'workspace = Workspace(roots=(Path("/"),))',
        f"dictionary = open_dictionary({dictionary.id!r}, workspace, fold_decoder_norms={dictionary.folded})",
        *(["sae = dictionary.sae"] if dictionary.config.blocks == 1 else []),
    ]


def _open_model(code: _Code, dictionary: Dictionary) -> None:
    config = dictionary.config
    cut = f"[:, :{config.context_size}]" if config.context_size else ""
    if _in_transformer_lens(dictionary):
        code.imports.append("from transformer_lens import HookedTransformer")
        centred = ", center_writing_weights=True" if config.center_writing_weights else ""
        how = f'{config.model_name!r}{centred}, device="cpu"'
        code.lines += [
            f"model = HookedTransformer.from_pretrained_no_processing({how})",
            f'tokens = model.to_tokens("Your text", prepend_bos={config.prepend_bos}){cut}',
        ]
        return
    code.imports += [f"from {importable('core.models.search')} import find_model", _PATH, _WORKSPACE]
    first = "[found.separator] + " if config.prepend_bos else ""
    code.lines += [
        "# TransformerLens does not know this model by name, or lacks a hook: this project's reader opens its folder.",
        f"workspace = Workspace(models=(Path({json.dumps((_DEMO / 'model').as_posix())}),))  # the folder of the model",
        f"found = find_model({config.model_name!r}, workspace, centred={config.center_writing_weights})",
        "model = found.running",
        f'tokens = torch.tensor([{first}found.tokenizer.encode("Your text", add_special_tokens=False).ids]){cut}',
    ]
