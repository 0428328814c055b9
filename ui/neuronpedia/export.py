"""Make files that bring features to Neuronpedia. The person uploads them; the app sends nothing."""

import json
import re
from collections.abc import Sequence

import streamlit as st

from core.corpus.samples import SampleSettings
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.feature_lists import FeatureListError, format_features, parse_explanations
from core.logit_weights.unembedding import LogitSettings
from core.models.language_model import LanguageModel
from core.neuronpedia.bulk import BOT, BulkSettings, bulk_archive
from core.neuronpedia.export import FeatureExport, export_features, export_key
from core.neuronpedia.labels import SITE, NeuronpediaSource, neuronpedia_source
from core.neuronpedia.layouts import (
    LONGEST_EXPLANATION,
    MOST_IN_UPLOAD,
    MOST_TOKENS,
    ExportedFeature,
    upload_batch,
)
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import compute, token_pass
from ui.studies.token_pass import TokenPass

MOST_IN_ARCHIVE = 2_000
_ASKED = "_np_export"


def export(dictionary: Dictionary, model: LanguageModel, features: Sequence[int]) -> None:
    """Pick target, text and explanations, compute, and offer the two files."""
    if len(features) > MOST_IN_ARCHIVE:
        raise FeatureListError(
            f"{len(features):,} features are too many for one export. Expected at most {MOST_IN_ARCHIVE:,}. Choose "
            "fewer, and export the others afterwards."
        )
    source, creator = _target(dictionary, model), _creator(dictionary)
    text = st.text_area(
        "Explanations of your own",
        max_chars=200_000,
        key=f"np_said {dictionary.id}",
        placeholder="12: names of months\n45: closing brackets",
        help=f"One on each line, after the feature's number and a colon, of at most {LONGEST_EXPLANATION} characters.",
    )
    said = parse_explanations(text, features, longest=LONGEST_EXPLANATION)
    computed = _computed(dictionary, model, features)
    if computed is not None:
        export, passed = computed
        bulk = BulkSettings(
            source,
            title=dictionary.title,
            hook_name=dictionary.config.hook_name,
            model=model.config,
            text=passed.sample.title,
            n_rows=export.n_rows,
            n_pos=export.n_pos,
            **creator,
        )
        _overview(export, passed)
        _files(bulk, export, export.explained(said), model.token_strings)


def _target(dictionary: Dictionary, model: LanguageModel) -> NeuronpediaSource:
    """Pick model and source id that the files will name. Raises NeuronpediaError for an id that is not valid."""
    said, layer = neuronpedia_source(dictionary), dictionary.config.layer
    own = re.sub(r"[^a-z0-9._-]+", "-", model.name.rpartition("/")[2].lower()).strip("-._")
    left, right = st.columns(2)
    model_id = left.text_input(
        "Model id",
        said.model_id if said else own,
        key=f"np_model {dictionary.id}",
        max_chars=128,
        help="The name of the model on Neuronpedia, which may differ from its name elsewhere.",
    )
    source_id = right.text_input(
        "Source id",
        said.source_id if said else f"{layer or 0}-mine",
        key=f"np_source {dictionary.id}",
        max_chars=128,
        help="The layer, a dash, and the name of a source set that you made on Neuronpedia.",
    )
    return NeuronpediaSource.parse(f"{model_id.strip()}/{source_id.strip()}")


def _creator(dictionary: Dictionary) -> dict[str, str]:
    """Pick whose the records of the archive will be."""
    left, right = st.columns(2)
    creator = left.text_input(
        "Creator",
        "SAE Loupe",
        key=f"np_creator {dictionary.id}",
        max_chars=128,
        help="The name that the archive gives as the author of the source set.",
    )
    creator_id = right.text_input(
        "Creator's account",
        BOT,
        key=f"np_creator_id {dictionary.id}",
        max_chars=64,
        help="The id of an account on the Neuronpedia that imports the archive. The default is the bot that every "
        "installation has.",
    )
    return {"creator": creator.strip() or "SAE Loupe", "creator_id": creator_id.strip() or BOT}


def _computed(
    dictionary: Dictionary, model: LanguageModel, features: Sequence[int]
) -> tuple[FeatureExport, TokenPass] | None:
    """Return texts, tokens and histograms of the features and what was read, or None until a person has asked."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    n_rows = row.number_input(
        "Rows of text",
        16,
        4_096,
        128,
        step=16,
        key="np_rows",
        bind="query-params",
        width=200,
        help="Rows of the Python standard library, as long as the dictionary's training context.",
    )
    context = min(dictionary.config.context_size or model.n_ctx, model.n_ctx, MOST_TOKENS)
    settings = LogitSettings()
    asked = (dictionary.id, dictionary.folded, tuple(features), int(n_rows))
    row.button(
        "Compute",
        key="np_compute",
        type="primary",
        icon=":material/calculate:",
        on_click=lambda: st.session_state.update({_ASKED: asked}),
    )
    st.caption(
        plain(
            f"{len(features):,} feature{'s' * (len(features) != 1)}. Compute finds the texts of {context} tokens on "
            f"which each is most active, and the tokens it promotes and suppresses ({settings.describe(model)}). "
            "Nothing is sent anywhere."
        )
    )
    if st.session_state.get(_ASKED) != asked:
        return None
    passed = token_pass.token_pass(settings=SampleSettings(n_rows=int(n_rows), context=context))
    store = passed.store
    export = compute.transient(
        export_key(dictionary, model, store, features, settings),
        f"Examples of {len(features):,} features",
        lambda progress: export_features(dictionary, model, store, features, settings=settings, progress=progress),
    )
    return export, passed


def _overview(export: FeatureExport, passed: TokenPass) -> None:
    """List what the files will say, one row for each feature."""
    texts = [one.texts for one in export.features]
    table = export.to_frame()
    figure(
        "What the files hold",
        listing(table, "np-export", picks="feature"),
        table,
        explains=[name for name in table.columns if name != "feature"],
        note=f"{len(table):,} features · density of {texts[0].n_tokens:,} tokens: {passed.text}",
        name="neuronpedia-export",
        provenance=passed.provenance(features=len(table)),
    )


def _files(bulk: BulkSettings, export: FeatureExport, features: list[ExportedFeature], strings: Sequence[str]) -> None:
    """Draw the two downloads. A file is made when its button is pressed."""
    silent = set(export.silent)
    active = [one for one in features if one.texts.feature not in silent]
    if silent:
        st.warning(
            f"These features are silent on all of this text: {format_features(export.silent)[:300]}. The upload file "
            "leaves them out, because Neuronpedia takes no feature without a text. More rows may hold a text for them.",
            icon=":material/volume_off:",
        )
    fits = 0 < len(active) <= MOST_IN_UPLOAD
    stem = f"{bulk.model_id}-{bulk.source_id}"
    with st.container(horizontal=True):
        st.download_button(
            f"Upload file, {len(active):,} of {len(features):,} features" if fits else "Upload file",
            lambda: json.dumps(upload_batch(bulk.source, active, strings), ensure_ascii=False),
            f"{stem}.json",
            "application/json",
            key="np_upload",
            icon=":material/data_object:",
            disabled=not fits,
            on_click="ignore",
        )
        st.download_button(
            f"Bulk archive, {len(features):,} features",
            lambda: bulk_archive(bulk, features, strings),
            f"{stem}.zip",
            "application/zip",
            key="np_bulk",
            icon=":material/folder_zip:",
            on_click="ignore",
        )
    if not fits:
        st.caption(
            f"The upload file takes 1 to {MOST_IN_UPLOAD} features with a text; {len(active):,} of these have one."
        )
    st.caption(
        f"The upload file is the body of `POST {SITE}/api/feature/upload-batch`, with your key in the header "
        "`x-api-key`; the source set must exist there and belong to you. The archive has the folders that "
        "Neuronpedia's bulk import reads, with histograms and your explanations. Your explanations name no method, "
        "because Neuronpedia has none for what a person wrote."
    )
