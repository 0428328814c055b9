"""The tab Match file: the whole matching as a file, and a view of another file."""

import hashlib
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.installation import importable
from core.matching import tables as matching_tables
from core.matching.file import MOST_BYTES, VERSION, MatchFile, from_json
from ui.matching.picker import choose_pair
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import compute, matching
from ui.studies.matching import MatchStudy
from ui.studies.uploads import uploader


def export(study: MatchStudy) -> None:
    """Offer this matching as a file, and show a file with another matching."""
    left, right = st.columns(2, gap="large")
    with left, errors.shown():
        downloads(study)
    with right:
        upload = uploader(
            f"Show a matching from a file ({VERSION})",
            type=["json"],
            most_bytes=MOST_BYTES,
            key="match_upload",
            help="A file that this page or the command line wrote. The app reads, checks and shows it, and keeps "
            "nothing.",
        )
    if upload is not None:
        with errors.shown():
            uploaded(study, upload.getvalue())


def downloads(study: MatchStudy) -> None:
    """Offer the matching as JSON with all that is known of it, and its pairs as tables."""
    st.markdown("**Download this matching**")
    st.caption(
        plain(
            f"{VERSION}: pairs, unmatched features, statistics, chance and control, hashes of both dictionaries. The "
            f"command `python -m {importable('core.matching')} A B -o match.json` writes the same bytes. CSV and "
            "Parquet hold the pairs."
        )
    )
    stem = f"match-{study.similarity}-{study.method}"
    with st.container(horizontal=True):
        json_button(study, f"{stem}.json")
        found = matching.matching(study)
        pairs = matching_tables.pair_table(found)
        source = study.provenance | {"settings": study.provenance["settings"] | found.said_proof}
        st.download_button(
            "CSV", lambda: tables.to_csv(pairs), f"{stem}.csv", "text/csv", key="match_csv", on_click="ignore"
        )
        st.download_button(
            "Parquet",
            lambda: tables.to_parquet(pairs, source),
            f"{stem}.parquet",
            key="match_parquet",
            on_click="ignore",
        )


def json_button(study: MatchStudy, name: str) -> None:
    """Offer to make the file, then to download it. Its statistics by chance take as long as the matching."""
    flag = f"_{matching.export_key(study)}"
    if flag not in st.session_state:
        st.button(
            "Make the JSON file",
            key="match_make",
            type="primary",
            on_click=lambda: st.session_state.update({flag: True}),
            help="Also computes the numbers by chance and of the control.",
        )
        return
    with errors.shown():
        st.download_button(
            "JSON", matching.export(study), name, "application/json", key="match_json", on_click="ignore"
        )


def uploaded(study: MatchStudy, data: bytes) -> None:
    """Show a file: its dictionaries, whether they are the picked ones, its numbers and its pairs."""
    key = f"match file {hashlib.sha256(data).hexdigest()}"
    file = compute.loaded().get(key, lambda: from_json(data), nbytes=len(data), name="The file")
    stated = file.matching
    st.markdown(
        plain(
            f"{len(stated.a):,} pairs of {stated.d_sae_a:,} and {stated.d_sae_b:,} features, by {stated.similarity}, "
            f"{stated.method}, {stated.proof}. Written by {file.app[:80]}."
        )
    )
    picked = {"A": study.a, "B": study.b}
    same = [origin(name, said, picked) for name, said in (("A", file.a), ("B", file.b))]
    with st.expander("Settings, statistics and chance as given in the file"):
        st.json(
            {"params": flat(file.settings), "stats": flat(file.stats), "null": nested(file.null)}
            | ({"not_proven": flat(file.not_proven)} if file.not_proven else {}),
            expanded=1,
        )
    pairs(study, file, all(same))


def origin(name: str, said: Mapping[str, Any], picked: Mapping[str, Dictionary]) -> bool:
    """Say which dictionary a file names. Return whether it is the picked one."""
    sha256 = str(said["sha256"])
    text = f"{name} of the file: {str(said.get('title'))[:100]} ({str(said.get('id'))[:100]}), content {sha256[:16]}"
    here = [end for end, dictionary in picked.items() if dictionary.sha256 == sha256]
    if here == [name]:
        st.success(plain(f"{text}: the same weights as {name} here."), icon=":material/check:")
    elif here:
        st.warning(plain(f"{text}: these weights are {here[0]} here, not {name}."), icon=":material/swap_horiz:")
    else:
        st.warning(
            plain(
                f"{text}. The dictionary picked as {name}, {picked[name].title}, has the content "
                f"{picked[name].sha256[:16]}. So its weights differ, or settings such as folded decoder norms do. The "
                "table shows the pairs of the file, but their numbers are not features of the picked dictionaries."
            ),
            icon=":material/warning:",
        )
    return here == [name]


def pairs(study: MatchStudy, file: MatchFile, same: bool) -> None:
    """List the pairs of a file. A click on a row picks them only if they are features of the picked dictionaries."""
    table = matching_tables.pair_table(file.matching)
    key = "match-file-pairs"
    picks = choose_pair(study, file.matching.a, file.matching.b) if same else None
    provenance = {
        "app": file.app,
        "dictionaries": [{"sha256": said["sha256"]} for said in (file.a, file.b)],
        "method": file.matching.method,
        "settings": {"similarity": file.matching.similarity, "k": file.matching.k, **file.matching.said_proof},
    }
    figure(
        "Pairs of the file",
        listing(table, key, height=420, picks=picks),
        table,
        explains=["match_score", "decoder_cosine", "encoder_cosine", "alignment"],
        note="as given in the file" + (" · click a row to pick its features" if same else ""),
        name=key,
        provenance=provenance,
    )


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep plain numbers and short texts. Nothing else of a file is shown."""
    return {
        str(name)[:60]: value[:100] if isinstance(value, str) else value
        for name, value in list(values.items())[:40]
        if value is None or isinstance(value, str | int | float)
    }


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name)[:60]: flat(value) for name, value in list(values.items())[:10] if isinstance(value, Mapping)}
