"""Write the example of the page Dashboards: features of the demo in Neuronpedia's files, as the app exports them.

python -m demo.write_dashboards
"""

import io
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from core.activations.statistics import ActivationStatistics
from core.activations.token_pass import activation_pass, open_store
from core.corpus.samples import SampleSettings, sample_of
from core.dictionaries.sources.folder import read_folder
from core.logit_weights.unembedding import LogitSettings
from core.models.language_model import LanguageModel
from core.neuronpedia.bulk import BulkSettings, bulk_archive
from core.neuronpedia.export import export_features
from core.neuronpedia.labels import NeuronpediaSource
from core.overview.sample_text import badge_stream
from core.work.artifacts import ArtifactStore

DEMO = Path(__file__).parent
DICTIONARY, TARGET = DEMO / "dictionaries" / "layer2-standard-2048", DEMO / "dashboards"
N_FEATURES, N_ROWS, N_TEXTS = 8, 64, 12


def main() -> None:
    model, dictionary = (
        LanguageModel(DEMO / "model"),
        read_folder(DICTIONARY, id=DICTIONARY.name, title=DICTIONARY.name),
    )
    stream = badge_stream(model.tokenizer, separator=model.separator)
    asked = SampleSettings(n_rows=N_ROWS, context=64)
    sample = sample_of(stream.tokens, stream.title, dictionary.config, model, asked, stream.unread)
    with tempfile.TemporaryDirectory() as folder:
        artifacts, how = ArtifactStore(Path(folder)), {"left_out": sample.left_out}
        statistics = activation_pass(dictionary, model, sample.rows, artifacts, **how)
        store = open_store(dictionary, model, sample.rows, artifacts, **how)
        features = clear_ones(statistics)
        found = export_features(dictionary, model, store, features, settings=LogitSettings(), n=N_TEXTS)
    settings = BulkSettings(
        NeuronpediaSource.parse("loupe-demo/2-standard"),
        title=DICTIONARY.name,
        hook_name=dictionary.config.hook_name,
        model=model.config,
        text=sample.title,
        n_rows=found.n_rows,
        n_pos=found.n_pos,
    )
    shutil.rmtree(TARGET, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(bulk_archive(settings, found.features, model.token_strings))) as archive:
        for name in archive.namelist():
            if "/features/" in name or "/activations/" in name:
                path = TARGET / Path(*Path(name).parts[-2:])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


def clear_ones(statistics: ActivationStatistics) -> list[int]:
    """Return the features with the largest mean when active, of those on 10 tokens to 2 % of the text."""
    count, total = statistics.count.sum(axis=0), statistics.total.sum(axis=0)
    known = (count >= 10) & (count <= 0.02 * statistics.n_tokens())
    mean = np.where(known, total / np.maximum(count, 1), -np.inf)
    return sorted(np.argsort(-mean, kind="stable")[:N_FEATURES].tolist())


if __name__ == "__main__":
    main()
