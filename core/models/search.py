"""Find a model on this machine by its name, and check whether a dictionary fits it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.dictionaries.config import DictionaryConfig
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.hooks import split_hook
from core.errors import DoesNotFitError, LoupeError, NotDownloadedError, UnknownNameError
from core.installation import PROJECT
from core.models import downloads, layouts, names
from core.models.batches import readers
from core.models.config import HOOK_WIDTHS
from core.models.embeddings import TRAINED
from core.models.language_model import LanguageModel
from core.work.artifacts import ArtifactStore
from core.work.torch_library import model_library_is_imported
from core.workspace import Workspace

DEMO = PROJECT / "demo" / "model"


@dataclass(frozen=True)
class Located:
    """The folder of a model, and how it was found."""

    folder: Path
    name: str | None
    """What to call it; None: as its config says, or after its folder."""
    because: str = ""
    """Why it was taken for the model asked for, where its own name does not say so."""


def locate(name: str | None, workspace: Workspace, config: DictionaryConfig | None = None) -> Located:
    """Find a model's folder: by the names of the workspace's folders, among downloads, or as the only one that fits.

    A folder's names are that in its config, its own, and that of the repository whose snapshot it is. The only one is
    that of the workspace which has the hooks of `config` with its width. A folder that cannot be opened hides no
    other. If it bears the name and no other does, its error is raised. Raises NotDownloadedError for a model of the
    hub that is not here, UnknownNameError for any other.
    """
    folders = [folder for folder in workspace.models if (folder / "config.json").is_file()]
    called = [f for f in folders if name and any(names.same_model(own, name) for own in names.own_names(f))]
    broken = {folder: _why_closed(folder, workspace) for folder in called}
    for folder in called:
        if broken[folder] is None:
            return Located(folder, names.snapshot_name(folder))
    for folder in folders:
        said = names.name_in_config(folder)
        if name and said and names.same_bare_name(said, name):
            return Located(folder, None, f"The model is that of {folder}: its config says that it comes from {said}.")
    folder, repository = downloads.local_folder(name or "", workspace), names.repository(name or "")
    if folder is not None:
        return Located(folder, repository)
    for error in filter(None, broken.values()):
        raise error
    fitting = _fitting(config, workspace) if config else []
    if len(fitting) == 1:
        return Located(
            fitting[0].folder,
            names.snapshot_name(fitting[0].folder),
            f"The dictionary names {name or 'no model'}. The model shown is {fitting[0].name}, the only one of the "
            f"models given that has {' and '.join(config.hooks_in)} with its width.",
        )
    raise _missing(name, repository, folders, workspace)


def opens_at_once(name: str | None, workspace: Workspace) -> bool:
    """Whether every folder that may be this model's is understood, so that opening the model imports nothing large."""
    folders = [*workspace.models, downloads.local_folder(name or "", workspace)]
    store = ArtifactStore(workspace.cache)
    return model_library_is_imported() or all(layouts.parts_are_known(folder, store) for folder in folders if folder)


def _why_closed(folder: Path, workspace: Workspace) -> LoupeError | None:
    """Return the error of a folder that cannot be opened; None of one that can."""
    try:
        LanguageModel(folder, store=ArtifactStore(workspace.cache))
    except LoupeError as error:
        return error
    return None


def _missing(name: str | None, repository: str | None, folders: list[Path], workspace: Workspace) -> LoupeError:
    broken = {folder: _why_closed(folder, workspace) for folder in folders}
    known = [names.own_names(folder)[0] for folder in folders if broken[folder] is None]
    error = NotDownloadedError("model", str(name)) if repository else UnknownNameError("model", str(name), known)
    said = " ".join(str(reason) for reason in broken.values() if reason)
    if said:
        error.args = (f"{error} It may be in a folder that cannot be opened: {said}",)
    return error


def find_model(
    name: str | None,
    workspace: Workspace,
    *,
    centred: bool = False,
    wpe: str = TRAINED,
    config: DictionaryConfig | None = None,
) -> LanguageModel:
    """Open a model by name, as `locate` finds it, in the workspace's dtype. Works offline; raises what that raises."""
    return open_located(locate(name, workspace, config), workspace, centred=centred, wpe=wpe)


def open_located(found: Located, workspace: Workspace, *, centred: bool = False, wpe: str = TRAINED) -> LanguageModel:
    store = ArtifactStore(workspace.cache)
    return LanguageModel(found.folder, centred=centred, name=found.name, wpe=wpe, store=store, dtype=workspace.dtype)


def offer_others(error: LoupeError, dictionary: Dictionary, workspace: Workspace) -> None:
    """Add to an error about a missing model the models that are here and fit; the user may name one after the path."""
    found = fitting_models(dictionary.config, workspace)
    if not found or not dictionary.id.startswith("folder/") or dictionary.config.sides > 1:
        return
    tail = "&" if "#" in dictionary.id.rpartition("/")[2] else "#"
    hook, width, one = dictionary.config.hook_name, dictionary.config.d_in, len(found) == 1
    error.args = (
        f"{error} Of the models that are here, {' and '.join(found)} {'has' if one else 'have'} {hook} with the width "
        f"{width}. If the dictionary was trained on {'it' if one else 'one of them'}, write "
        f"{tail}model_name={found[0]} after the path.",
    )


def fitting_models(config: DictionaryConfig, workspace: Workspace) -> list[str]:
    """Return the names of the models given by their folders that have a dictionary's hook with its width."""
    found = [model.name for model in _fitting(config, workspace)]
    return [name for name in dict.fromkeys(found) if not {"#", "&"} & set(name)]


def _fitting(config: DictionaryConfig, workspace: Workspace) -> list[LanguageModel]:
    found = []
    for folder in workspace.models:
        # The demo's model is always there, and no other dictionary was trained on it.
        if config.hook_name and folder != DEMO and (folder / "config.json").is_file():
            with suppress(LoupeError):
                located = Located(folder, names.snapshot_name(folder))
                model = open_located(located, workspace, centred=config.center_writing_weights)
                check_fit(config, model)
                found.append(model)
    return found


def check_fit(config: DictionaryConfig, model: LanguageModel) -> None:
    """Raise DoesNotFitError unless a dictionary's config names a hook of this model with its width."""
    width = sum(each.hook_width(hook) for each, hook in readers(model, config.hooks_in))
    if config.hook_head_index is not None:
        return check_head(config, model, width)
    if width != config.input_width:
        hooks = " and ".join(config.hooks_in)
        raise DoesNotFitError(
            f"The dictionary reads vectors of width {config.input_width}, but {hooks} of {model.name} has "
            f"{width}. Choose the model it was trained on, or check d_in in its cfg.json."
        )


def check_head(config: DictionaryConfig, model: LanguageModel, width: int) -> None:
    """Raise DoesNotFitError unless the model has the head that a dictionary reads, with the dictionary's width."""
    head, d_head = config.hook_head_index, model.config.get("d_head")
    point = split_hook(config.hook_name)[1]
    n = width // d_head if d_head and "heads" in HOOK_WIDTHS.get(point, "") else 0
    if config.d_in != d_head or not 0 <= head < n:
        raise DoesNotFitError(
            f"The dictionary reads head {head} of {config.hook_name} alone (hook_head_index), with width "
            f"{config.d_in}; {model.name} has {f'{n} heads of width {d_head}' if n else 'no heads'} there. Choose the "
            "model it was trained on, or check hook_name in its cfg.json."
        )


def check_hooks(dictionary: Dictionary, model: LanguageModel) -> None:
    """Raise DoesNotFitError unless a dictionary reads and writes at hooks of this model, with their widths."""
    check_fit(dictionary.config, model)
    config = dictionary.config
    if config.hook_head_index is not None:
        raise DoesNotFitError(
            f"{dictionary.title} reads one head of {config.hook_name} alone (hook_head_index "
            f"{config.hook_head_index}). Expected one that reads all that the hook gives: text cannot be run for a "
            "single head here. Pages that need only weights work with this dictionary."
        )
    if "transcoder" in config.architecture and not config.hook_name_out:
        raise DoesNotFitError(
            f"{dictionary.title} is a transcoder, and its cfg.json has no hook_name_out to compare its output with. "
            "Expected the hook it was trained to give; add it to the metadata."
        )
    if config.hook_name_out and model.hook_width(config.hook_name_out) != config.d_out:
        raise DoesNotFitError(
            f"{dictionary.title} writes vectors of width {config.d_out}, but {config.hook_name_out} of {model.name} "
            f"has {model.hook_width(config.hook_name_out)}. Choose the model it was trained on."
        )


def check_same_tokens(a: LanguageModel, b: LanguageModel) -> None:
    """Raise DoesNotFitError unless token ids mean the same in both models."""
    if a.tokenizer_sha256 != b.tokenizer_sha256:
        raise DoesNotFitError(
            f"{a.name} and {b.name} have different tokenizers: one id means two tokens. Expected dictionaries whose "
            "models read the same tokens; choose another one to compare with."
        )
