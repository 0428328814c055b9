"""What a dictionary's config says, under one set of names, and what its architecture can do."""

from dataclasses import dataclass

from core.errors import DoesNotFitError

NO_MODEL = "no model (a synthetic world)"
"""What stands in place of a model's name where there is none (core.dictionaries.world)."""
_ADDITIVE_TRANSCODERS = {"transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"}
OUR_TRANSCODERS = {"topk_transcoder", "topk_skip_transcoder"}
"""Architectures that core.dictionaries.transcoders adds to those of sae-lens."""
TRANSCODERS = _ADDITIVE_TRANSCODERS | OUR_TRANSCODERS
ADDITIVE = {"standard", "jumprelu", "gated"} | _ADDITIVE_TRANSCODERS
"""Architectures in which a feature depends on its own pre-activation only, not on other features."""
WITH_K = {"topk", "abstopk"} | OUR_TRANSCODERS
"""Architectures that cannot run without a k."""
UNFOLDED_NORMALISATIONS = {"expected_average_only_in", "covariance_whitening"}
"""Settings that sae-lens folds into the weights after training and ignores when it runs."""


@dataclass(frozen=True)
class DictionaryConfig:
    """What a dictionary's cfg.json says, in our names."""

    architecture: str
    """sae-lens' inference architecture: standard, gated, topk, abstopk, jumprelu, transcoder, ..."""
    d_in: int
    d_sae: int
    d_out: int
    model_name: str | None
    hook_name: str
    """Empty if the files do not say it."""
    hook_name_out: str | None = None
    """For transcoders: where the decoder writes."""
    context_size: int | None = None
    """Sequence length of the training data; None when the file does not say."""
    prepend_bos: bool = False
    k: int | None = None
    apply_b_dec_to_input: bool = True
    normalize_activations: str = "none"
    reshape_activations: str = "none"
    rescale_acts_by_decoder_norm: bool = False
    center_writing_weights: bool = False
    """Whether the model's writing weights were centred over d_model in training."""
    training_architecture: str | None = None
    """The architecture in training, if it differs: BatchTopK dictionaries are saved as jumprelu."""
    hook_head_index: int | None = None
    """The one head of hook_z, hook_q, ... that it reads; None: all that the hook gives."""
    matryoshka_widths: tuple[int, ...] = ()
    """Levels of a Matryoshka dictionary: for each n, the first n features are a dictionary. The last is d_sae."""
    reconstructs: bool = True
    """Whether decoding its features is meant to give the output; of a cross-layer transcoder's layer it is not."""
    target_layer: int | None = None
    """Of a cross-layer transcoder: the layer that the decoder rows write to; None: their sum over all later layers."""
    read_hooks: tuple[str, ...] = ()
    """Hooks that are read together, their vectors one after the other; empty: hook_name alone."""
    blocks: int = 1
    """Groups of equally many features, of which each reads its own one of read_hooks; 1: all features read all."""
    sides: int = 1
    """Of a crosscoder: how many places it reads and writes; their vectors are one after the other in its input."""
    read_models: tuple[str, ...] = ()
    """Of a crosscoder of several models: the model that each of read_hooks is of; empty: all are of model_name."""
    side: int | None = None
    """Of a crosscoder: which of its sides the decoder rows write to."""

    @property
    def writes_elsewhere_too(self) -> bool:
        """Whether its features have decoder rows for other places besides, which are not looked at now."""
        return self.side is not None or self.target_layer is not None or not self.reconstructs

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The settings that would say its model and hook where nothing does; those of a crosscoder name each side."""
        plural = "s" if self.sides > 1 else ""
        return tuple(name + plural for name in ("model_name", "hook_name") if not getattr(self, name))

    @property
    def hooks_in(self) -> tuple[str, ...]:
        return self.read_hooks or (self.hook_name,)

    @property
    def input_width(self) -> int:
        """Length of what it reads on a token, of all its hooks together."""
        return self.d_in * self.blocks

    @property
    def layer(self) -> int | None:
        """The block number in the hook name, None when it has none."""
        parts = self.hook_name.split(".")
        return int(parts[1]) if len(parts) > 2 and parts[1].isdigit() else None

    @property
    def kind(self) -> str:
        """The architecture to show: as trained if known, else as saved."""
        return self.training_architecture or self.architecture


def check_reconstructs(config: DictionaryConfig, title: str) -> None:
    """Raise DoesNotFitError for a dictionary whose features alone reconstruct nothing."""
    if config.reconstructs:
        return
    why, step = "its decoder rows are sums over all later layers, so there is no output that it should reconstruct", ""
    if config.target_layer is not None:
        why = f"the layers before it write to layer {config.target_layer} too, so its part alone reconstructs nothing"
        step = f" Open all of them with #target={config.target_layer} behind the folder's path."
    raise DoesNotFitError(
        f"{title} is one layer of a cross-layer transcoder: {why}. Expected a dictionary that reconstructs; its "
        f"activations and weights can still be read.{step}"
    )


def check_said(config: DictionaryConfig, title: str) -> None:
    """Raise DoesNotFitError unless a config says which model it belongs to, and where in it."""
    if config.model_name == NO_MODEL:
        raise DoesNotFitError(
            f"{title} was made for a synthetic world: there is no language model behind it, and no text that it could "
            "read. Expected a dictionary of a model; choose one, or read what weights say on Geometry, Matching, "
            "Splitting, Stability and Ground truth."
        )
    lacking = config.unsaid
    if lacking:
        raise DoesNotFitError(
            f"The files of {title} do not say {' and '.join(lacking)}, which running the model needs. Expected it in "
            f"the config: write it after the path, as in PATH#{'&'.join(f'{name}=...' for name in lacking)}"
        )
