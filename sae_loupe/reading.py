"""A short text of one's own: which features fire on which token."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core import tables
from core.corpus.samples import bos_token
from core.errors import BadSettingError
from core.models.pieces import token_pieces
from core.text.features import TextFeatures, encode_text
from core.text.texts import OwnText, tokenise
from sae_loupe.opened import Opened
from sae_loupe.results import Result


@dataclass(frozen=True, eq=False, repr=False)
class Reading(Result):
    """The activations on the tokens of a text: `row`, `position`, `error` and `square` are [token]."""

    sae: Opened
    text: OwnText
    stats: TextFeatures
    pieces: list[str]
    """[token]: the text that each token adds."""

    @property
    def title(self) -> str:
        return self.sae.dictionary.title

    @property
    def note(self) -> str:
        n = self.stats.n_tokens
        return f"{n:,} tokens of your text, {len(self.stats.acts.acts) / n:.1f} active features on each"

    @property
    def provenance(self) -> dict:
        given = {"dictionary": self.sae.dictionary, "model": self.sae.model}
        return tables.provenance(**given, method="features of a text", settings={"text_sha256": self.text.sha256})

    @property
    def acts(self) -> np.ndarray:
        """[token, d_sae]: the activations, zeros included."""
        found = np.zeros((self.stats.n_tokens, self.sae.dictionary.d_sae), np.float32)
        found[self.stats.token, self.stats.acts.features] = self.stats.acts.acts
        return found

    def to_frame(self) -> pd.DataFrame:
        """One row for each feature that is active on a token: token_number, token_text, position, feature, activation.

        In the order of the text; on a token, the most active feature comes first.
        """
        token, acts = self.stats.token, self.stats.acts
        order = np.lexsort((acts.features, -acts.acts, token))
        columns = {
            "token_number": token[order],
            "token_text": [self.pieces[i] for i in token[order].tolist()],
            "position": self.stats.position[token[order]],
            "feature": acts.features[order],
            "activation": acts.acts[order].astype(float),
        }
        return pd.DataFrame(columns)

    def chart(self, n: int = 20):
        """Draw the n features with the largest activations, by token."""
        import altair as alt

        from ui.shared.charts import RAMP

        table = self.to_frame()
        best = table.groupby("feature")["activation"].max().nlargest(n).index
        table = table[table["feature"].isin(best)]
        label = table["token_number"].astype(str) + " " + table["token_text"]
        axes = [
            alt.X("token:N").title("Token").sort(alt.EncodingSortField("token_number")),
            alt.Y("feature:N").title("Feature").sort(list(map(str, best))),
        ]
        colour = alt.Color("activation:Q").title("Activation").scale(range=RAMP)
        return alt.Chart(table.assign(token=label)).mark_rect().encode(*axes, colour, tooltip=list(table.columns))


def of(sae: Opened, text: str) -> Reading:
    """Run model and dictionary over one text, in rows as long as the dictionary was trained on."""
    if not isinstance(text, str):
        raise BadSettingError(f"The text is {type(text).__name__}. Expected a string; join several with line breaks.")
    dictionary, model = sae.dictionary, sae.model
    read = tokenise(model, (text,))
    bos = bos_token(model) if dictionary.config.prepend_bos else None
    length = min(dictionary.config.context_size or model.n_ctx, model.n_ctx)
    key = TextFeatures.key(dictionary.sha256, model.sha256, read.sha256, length=length, bos=bos)
    found = sae.held(key, lambda: encode_text(dictionary, model, read, length=length, bos=bos))
    return Reading(sae, read, found, token_pieces(model.decoder, read.ids.tolist()))
