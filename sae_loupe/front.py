"""The front door: `open` a dictionary, and call what you want to know of it."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import notebook
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import download as sources_download
from core.dictionaries.sources import entries, sources
from core.errors import BadSettingError, LoupeError, NoSuchPathError
from core.models import downloads
from core.models.batches import activations_at
from core.workspace import Workspace
from sae_loupe import (
    arrays,
    enrichment,
    geometry,
    interventions,
    logits,
    maps,
    matching,
    numbers,
    positions,
    reading,
    summary,
    text,
    token_pass,
)
from sae_loupe.opened import Opened
from sae_loupe.results import Result
from sae_loupe.words import in_words, number

__all__ = [
    "LoupeError",
    "OpenDictionary",
    "Result",
    "dictionaries",
    "download",
    "load_dictionary",
    "match",
    "open",
    "open_in_app",
]


@in_words
def open(
    source: Any,
    *,
    model: str | PathLike | None = None,
    device: str = "auto",
    fold_decoder_norms: bool = True,
    cache: str | PathLike | None = None,
) -> "OpenDictionary":
    """Open a dictionary (a sparse autoencoder): an id of the app, the path of a folder or file, or a sae-lens SAE.

    A sae-lens SAE of a training class is opened by its inference form. `model` is the folder of the language model; a
    model that is on this machine under the name that the files give is found without it. `device` is auto, cpu, cuda or
    cuda:N. With `fold_decoder_norms`, as on all pages, decoder rows have length 1 and activations their scale; without,
    both are as in the files. Results are kept in the folder `cache`, by default that of the app. Raises a LoupeError
    that says what is wrong with the source.
    """
    if model is not None and not Path(model).expanduser().is_dir():
        raise NoSuchPathError(
            f"There is no folder {str(model)[:200]!r}. Expected that of a language model; check model=."
        )
    dictionary = load_dictionary(source, fold_decoder_norms=fold_decoder_norms)
    places = {"model": Path(model) if model else None, "cache": Path(cache) if cache else None}
    return OpenDictionary(dictionary, device=device, **places)


@in_words
def load_dictionary(source: Any, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open the weights alone, without the calls: a source as for `open`, or what that returns."""
    given = source.dictionary if isinstance(source, Opened) else source
    return notebook.load_dictionary(given, fold_decoder_norms=fold_decoder_norms)


@in_words
def download(name: str) -> None:
    """Download a dictionary (registry/RELEASE/ID or hub/USER/NAME), or a language model by its name, such as gpt2.

    The only call that asks the network. Files go to the Hugging Face hub's cache, where the app finds them too. Raises
    HubError if the hub does not give them, UnknownNameError for a name that it cannot have.
    """
    source = sources().get(str(name).partition("/")[0])
    if source is not None:
        sources_download(str(name))
    else:
        downloads.download(str(name))


def dictionaries() -> pd.DataFrame:
    """Return the dictionaries that are here, one row each: id, title, hook_name, model_name, kind, d_sae."""
    names = ("id", "title", "hook_name", "model_name", "kind", "d_sae")
    return pd.DataFrame([[getattr(entry, name) for name in names] for entry in entries(Workspace())], columns=names)


@in_words
def open_in_app(
    *sources: Any, page: str | None = None, port: int | None = None, model: Path | None = None
) -> notebook.App:
    """Start the app with dictionaries, given as for `open` or open already; return it, with its link as `url`.

    `page` is a page's name in the address. `stop()` of the result ends the app.
    """
    saes = [source.dictionary if isinstance(source, Opened) else source for source in sources]
    return notebook.open_in_app(*saes, page=page, port=port, model=model)


@in_words
def match(
    a: Any, b: Any, *, similarity: str = "decoder", method: str = "one-to-one", threshold: float = 0.7
) -> matching.Match:
    """Match the features of two dictionaries by their weights: a, b, score, decoder and encoder are [pair].

    Both are open, or given as for `open`. `similarity`: decoder, encoder or both; `method`: one-to-one, greedy or
    mutual. `threshold` is the cosine from which on two features count as the same.
    """
    first, second = (source if isinstance(source, Opened) else open(source) for source in (a, b))
    return matching.of(first, second, similarity=similarity, method=method, threshold=threshold)


class OpenDictionary(Opened):
    """One SAE. Every analysis is one call that returns a result with `to_frame()` and `chart()`."""

    @property
    def d_in(self) -> int:
        """Length of the vectors that it reads."""
        return self.dictionary.config.input_width

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.dictionary.d_sae

    @property
    def W_enc(self) -> np.ndarray:
        """[d_in, d_sae]: column i is what feature i reads. Read-only, like all weights."""
        return self.dictionary.W_enc

    @property
    def W_dec(self) -> np.ndarray:
        """[d_sae, d_out]: row i is what feature i writes."""
        return self.dictionary.W_dec

    @property
    def b_enc(self) -> np.ndarray:
        """[d_sae]"""
        return self.dictionary.b_enc

    @property
    def b_dec(self) -> np.ndarray:
        """[d_out]"""
        return self.dictionary.b_dec

    @property
    def sha256(self) -> str:
        """The content hash of weights and settings, which results are named by."""
        return self.dictionary.sha256

    def __repr__(self) -> str:
        return repr(self.dictionary)

    def __dir__(self) -> list[str]:
        hidden = {"device", "held", "result", "store", "workspace"}
        return [name for name in super().__dir__() if name not in hidden and not name.startswith("_")]

    @in_words
    def encode(self, x: Any) -> Any:
        """Return the activations of vectors at the dictionary's hook, (..., d_in) to (..., d_sae).

        `x` is a numpy array or a torch tensor of any float dtype, on any device. The result is of the same kind, on the
        same device, and float32, which is what it is computed in. Raises DoesNotFitError for another width,
        BadSettingError for what holds no floats.
        """
        vectors, back = self._taken(x, "encode")
        return back(self.dictionary.encode(vectors))

    @in_words
    def decode(self, acts: Any, x: Any = None) -> Any:
        """Return what features write, with the bias: activations (..., d_sae) to (..., d_out), float32.

        `x` is the input that the activations belong to. Only dictionaries that normalise each input need it.
        """
        values, back = arrays.taken(acts, "decode", self.d_sae, "d_sae", self.dictionary)
        how = self.dictionary.config.normalize_activations
        if x is None and how in ("constant_norm_rescale", "layer_norm"):
            raise BadSettingError(
                f"{self.dictionary.title} normalises each input ({how}), so what its features write depends on it. "
                "Expected the input too: decode(acts, x)."
            )
        inputs = np.zeros((*values.shape[:-1], self.d_in), np.float32) if x is None else self._taken(x, "decode")[0]
        if inputs.shape[:-1] != values.shape[:-1]:
            raise BadSettingError(
                f"decode was given activations of shape {values.shape} and inputs of shape {inputs.shape}. Expected "
                "the same axes before the last; pass the input that was encoded."
            )
        return back(self.dictionary.decode(values, inputs))

    @in_words
    def reconstruct(self, x: Any) -> Any:
        """Return x_hat, what the dictionary makes of vectors: (..., d_in) to (..., d_out), float32. See `encode`."""
        check_reconstructs(self.dictionary.config, self.dictionary.title)
        vectors, back = self._taken(x, "reconstruct")
        return back(self.dictionary.reconstruct(vectors))

    @in_words
    def inputs(self, rows: Any) -> np.ndarray:
        """Return the vectors that the dictionary reads on rows of token ids, [row, pos] to [row, pos, d_in].

        Runs the model; float32. Rows of a text are `token_pass(text).rows`.
        """
        return activations_at(self.model, text.ids_of(rows), self.dictionary.config.hooks_in)

    @in_words
    def positions(
        self,
        text: text.Text = None,
        *,
        n_pos: int | None = None,
        n_rows: int = 256,
        bos: bool | None = None,
        seed: int = 0,
    ) -> positions.Positions:
        """Find the features that follow token position: mean, std and rate are [d_sae, n_pos].

        At layer 0 over all tokens and positions, elsewhere from `n_rows` rows of `text` (as for `token_pass`), which
        the seed draws. `n_pos`: positions covered; None means all that the model has. `to_frame()` has one row for each
        feature, the largest position score first.
        """
        return positions.of(self, text=text, n_pos=n_pos, n_rows=n_rows, bos=bos, seed=seed)

    @in_words
    def logits(self, **settings: Any) -> logits.Logits:
        """Return statistics of all logit weights W_dec @ W_U: moments are [d_sae], extreme tokens [d_sae, 20].

        `settings` are fields of core.logit_weights.unembedding.LogitSettings, such as center="median".
        """
        return logits.of(self, **settings)

    @in_words
    def neighbors(self, *, side: str = "decoder") -> geometry.NearestFeatures:
        """Return the 100 nearest features of each by cosine: cos and idx are [d_sae, k]. `side`: decoder or encoder."""
        return geometry.of(self, side=side)

    @in_words
    def coefficients(self, feature: int, *, layer: int | None = None) -> pd.DataFrame:
        """Return how a feature's decoder row, at length 1, is spread: coordinate, basis_coefficient, the largest first.

        Over the coordinates of the hook that it writes to, or over what the neurons of a layer's MLP write.
        """
        return geometry.coefficients_of(self, number("Feature", feature, self.d_sae), layer=layer)

    @in_words
    def enrichment(self, sets: enrichment.Sets | None = None, **settings: Any) -> enrichment.Enriched:
        """Score every feature in every token set: es, auc, log10_p and log10_q are [d_sae, n_sets].

        `sets` are token sets by name, as ids or as texts of single tokens; None means the library's. `settings` are as
        for `logits`.
        """
        return enrichment.of(self, sets, settings)

    @in_words
    def map(self, **settings: Any) -> maps.FeatureMap:
        """Draw a map of all features: x, y and preservation are [d_sae].

        `settings` are fields of core.feature_map.layout.LayoutSettings: method ("umap", "tsne" or "pca"), n_neighbors,
        min_dist, perplexity, seed, side. The first UMAP of an installation compiles for half a minute.
        """
        return maps.of(self, settings)

    @in_words
    def token_pass_on_cpu(self, text: text.Text = None, **settings: Any) -> token_pass.TokenPass:
        """Go on on the CPU with a token pass whose device failed, behind the last part that it stored.

        Arguments are those of `token_pass`. The note, the provenance and every kept result of such a pass say from
        which row on the CPU computed. Where nothing is stored the whole pass is the CPU's; where all is, the device's.
        """
        return token_pass.of(self, text, token_pass.checked(settings), going_on=True)

    @in_words
    def token_pass(self, text: text.Text = None, **settings: Any) -> token_pass.TokenPass:
        """Run model and dictionary over a text: count, total, square, largest and smallest are [2, d_sae].

        `text` is None for Python's standard library, a path, a list of strings, or rows of token ids. `settings` are
        fields of core.corpus.samples.SampleSettings: n_rows (128), context, bos, seed, special. Activations are kept
        on disk, and a pass that was stopped goes on where it stopped.
        """
        return token_pass.of(self, text, token_pass.checked(settings))

    @in_words
    def read(self, text: str) -> reading.Reading:
        """Return which features fire on which token of a short text: acts is [token, d_sae]."""
        return reading.of(self, text)

    @in_words
    def edit(
        self,
        features: int | Sequence[int],
        kind: str = "ablate",
        amount: float = 0.0,
        *,
        prompt: str | None = None,
        n_rows: int = 3,
        place: tuple[int, int] | None = None,
        tokens: Sequence[int | str] = (),
        positions: Sequence[int] | None = None,
        only_where: int | None = None,
        error: bool = True,
        controls: int = 20,
        seed: int = 0,
    ) -> interventions.EditEffect:
        """Edit activations and see what the model then says, beside controls of the same length.

        `kind`: ablate (to 0), mean, clamp, scale or add; `amount` is an activation, of scale a factor. The text is
        `prompt`, or the `n_rows` rows of the token pass in which the first feature is strongest. `place` (row,
        position) is where the next token is looked at, `tokens` are kept there in any case. `positions` and
        `only_where` (a feature that must fire) say which tokens are edited. Without `error`, the reconstruction stands
        in for what passes. log_p and log_p_change are [d_vocab], acts and edited [row, pos].
        """
        passed = None if prompt is not None else self.token_pass()
        how = {"place": place, "tokens": tokens, "positions": positions, "only_where": only_where}
        how |= {"prompt": prompt, "n_rows": n_rows, "error": error, "controls": controls, "seed": seed}
        return interventions.of(self, passed, features, kind, amount, **how)

    @in_words
    def doses(
        self,
        features: int | Sequence[int],
        amounts: Sequence[float],
        kind: str = "clamp",
        *,
        prompt: str | None = None,
        n_rows: int = 3,
        error: bool = True,
        controls: int = 20,
        seed: int = 0,
    ) -> interventions.Doses:
        """Edit with many amounts: log_likelihood and divergence are [dose, run], the edit first, then its controls."""
        passed = None if prompt is not None else self.token_pass()
        how = {"prompt": prompt, "n_rows": n_rows, "error": error, "controls": controls, "seed": seed}
        return interventions.doses(self, passed, features, kind, amounts, **how)

    @in_words
    def feature(
        self, feature: int, text: text.Text = None, *, groups: Sequence[str] | None = None
    ) -> numbers.FeatureReport:
        """Return every number of one feature, with its formula, n, hashes and page, and its lists.

        `groups` are titles of sae_loupe.numbers.GROUPS, by default all; the token pass reads `text`.
        """
        feature = number("Feature", feature, self.d_sae)
        wanted = numbers.chosen(groups)
        found, missing = numbers.computed(self, wanted, lambda: self.token_pass(text))
        lists = numbers.lists_of(self, feature, lambda: self.token_pass(text), {group.title for group in found})
        return numbers.FeatureReport(self, feature, found, missing, lists)

    @in_words
    def summary(self, text: text.Text = None) -> summary.Summary:
        """Return the numbers of the whole dictionary: reconstruction and l0 on `text`, positional features, crowding.

        Each with its formula, n, hashes and page, one row in `to_frame()`.
        """
        return summary.of(self, lambda: self.token_pass(text))

    @in_words
    def table(self, text: text.Text = None, *, groups: Sequence[str] | None = None) -> numbers.FeatureTable:
        """Return every number of every feature, side by side: [d_sae] rows. `groups` and `text` as for `feature`."""
        found, missing = numbers.computed(self, numbers.chosen(groups), lambda: self.token_pass(text))
        return numbers.FeatureTable(self, found, missing)

    def url(self, page: str = "", feature: int | None = None, *, server: str = numbers.SERVER) -> str | None:
        """Return the address of a page on this dictionary in an app that runs at `server`; None if it is in memory."""
        return numbers.address(self, page, "", feature, server=server)

    def _taken(self, x: Any, call: str) -> tuple[np.ndarray, arrays.Back]:
        return arrays.taken(x, call, self.d_in, "d_in", self.dictionary)
