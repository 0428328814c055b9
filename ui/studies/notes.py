"""Notes on features, as the pages have them."""

from core.dictionaries.dictionary import Dictionary
from core.feature.note_store import NoteStore
from ui.studies import compute


def note_store(dictionary: Dictionary) -> NoteStore:
    """Return the store of notes on a dictionary. Notes hold with decoder norms folded or not."""
    names = dictionary.folded_sha256, dictionary.title
    return NoteStore(compute.kept_in(), *names, dictionary.d_sae, most_bytes=compute.workspace().policy.kept_bytes)
