"""Accounts for every key of a config: used by the reader, known to change nothing, or reported.

A reader takes the keys that it uses from ConfigFields. This module deals with the others: keys of training, logging and
bookkeeping change no activation; keys about text and heads become notes in words; a note names all remaining keys.
"""

import re
from collections.abc import Collection

from core.files.fields import ConfigFields, short

_HARMLESS = re.compile(
    r"(.*_)?(lr|lrs|seed|seeds|optim\w*|adam\w*|betas?\d?|weight_decay|momentum|batch\w*|minibatch\w*|steps?|epochs?"
    r"|epoch|warm_?up\w*|decay\w*|anneal\w*|schedul\w*|grad\w*|clip\w*|loss\w*|mse\w*|fvu|fve|l1|l2|l0|sparsity\w*"
    r"|coeffs?|coefficients?|penalty|alpha|aux\w*|dead\w*|resampl\w*|ghost\w*|checkpoint\w*|ckpt\w*|wandb\w*|log\w*"
    r"|print\w*|verbose|save\w*|output_dir|dir|path|paths|freq\w*|every|interval|window|device|devices|dtype|precision"
    r"|compile\w*|autocast\w*|ddp\w*|distribut\w*|num_workers|n_workers|threads|buffer\w*|shuffle\w*|dataset\w*"
    r"|split|data|streaming|tokens?|name|run_name|run_id|notes?|description|tags?|group|entity|project|user|author"
    r"|date|time\w*|timestamp|version|git\w*|commit|hash|license|url|revision|init\w*|bandwidth|expansion\w*"
    r"|finetun\w*method|eval\w*|metrics?|trust_remote_code|neuronpedia\w*|frac_\w+_recovered|explained_variance)(_.*)?"
)
"""Words of training, logging and bookkeeping. They make a key harmless, at any place between underscores."""
_BY_NAME_TEXT = """
trainer_class layer site hook_layer hook_point_layer d_submodule n_ctxs out_batch_size threshold_beta
threshold_start_step norm_factor multi_topk normalize_decoder normalize_sae_decoder num_dead_features
scale_sparsity_penalty_by_decoder_norm decoder_heuristic_init store_batch_size_prompts use_cached_activations
is_dataset_tokenized hook_eval saelens_version sae_lens_version sae_lens_training_version architectures
training_architecture_details model_class_name hf_hook_name hf_hook_name_out sequence_separator_token
disable_concat_sequences add_special_tokens group_weights group_fractions
exclude_bos_tokens_from_loss model_type transformers_version use_sparse_activations noise_scale hook_size
act_size_out enc_dtype l1_loss_wd_norm lp_norm l0_lambda pre_act_loss target_l0 frozen tied_init
use_ghost_grads mlp_expansion_factor store_size top_k_aux topk_aux mse_loss_normalization noise
dead_feature_threshold initial_threshold jumprelu_init_threshold jumprelu_bandwidth jumprelu_tanh_scale
topk_threshold_lr dict_mult remove_rare_dir jumprelu_sparsity_loss_mode hook_name_eval
"""
_BY_NAME = frozenset(_BY_NAME_TEXT.split())
_WORDS_INSIDE = re.compile(
    r"activation(_|$)|act_fn|sae_type|arch(itecture)?$|nonlinearity|normali[sz]|norm_scal|unit_norm|scaling_factor|threshold"
    r"|rescale|subtract|centre|center|whiten|top_?k|bias|tied|skip|gate|temperature|head|position|seqpos|bos"
)
"""A name with one of these words may change what is computed, so the words above never make it harmless."""


def is_harmless(name: str) -> bool:
    """Whether a key is known to change nothing that a dictionary computes."""
    if name in _BY_NAME:
        return True
    return not _WORDS_INSIDE.search(name.lower()) and bool(_HARMLESS.fullmatch(name.lower()[:100]))


def unread_note(file: str, *groups: ConfigFields, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return a note that names every key that is neither used nor known to be harmless; empty if there is none."""
    left = {name: value for group in groups for name, value in group.unread().items()}
    left = {name: value for name, value in left.items() if name not in known and not is_harmless(name)}
    listed = ", ".join(f"{name[:60]}={short(value, 40)}" for name, value in list(left.items())[:12])
    more = f" and {len(left) - 12:,} more" if len(left) > 12 else ""
    if not left:
        return ()
    return (
        f"{file} also says {listed}{more}, which this app does not use. If one of these changes what the "
        "dictionary computes, the numbers here are wrong.",
    )


def text_notes(metadata: ConfigFields) -> tuple[str, ...]:
    """Return notes on the positions, tokens and head that a dictionary was trained on, as sae-lens' metadata say it."""
    notes = []
    positions = metadata.value("seqpos_slice")
    positions = list(positions) if isinstance(positions, tuple) else positions
    if isinstance(positions, list) and any(part is not None for part in positions):
        notes.append(
            f"It was trained on some positions of each text only (seqpos_slice {short(positions, 40)}). It was "
            "never trained at the others; pages on text show all positions."
        )
    elif positions not in (None, []) and not isinstance(positions, list):
        raise metadata.bad("seqpos_slice", "a list of first position, end and step")
    left_out = metadata.value("exclude_special_tokens")
    if left_out is True or (isinstance(left_out, list) and left_out):
        which = "special tokens" if left_out is True else f"the tokens {short(left_out, 60)}"
        notes.append(
            f"It was trained without {which} (exclude_special_tokens). What it does on them was never trained: leave "
            "them out where a page on text offers it."
        )
    elif left_out not in (None, False, []):
        raise metadata.bad("exclude_special_tokens", "true, false or a list of token ids")
    head = metadata.count("hook_head_index")
    if head is not None:
        notes.append(
            f"It reads one head alone (hook_head_index {head}). Pages that need the model cannot give it that head by "
            "itself; its weights are shown as they are."
        )
    if metadata.value("hook_head_index_out") is not None:
        notes.append("It writes to one head alone (hook_head_index_out), which is not used here.")
    return tuple(notes)
