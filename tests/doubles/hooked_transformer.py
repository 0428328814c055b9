"""The HookedTransformer of a folder in Hugging Face's layout: what TransformerLens made of it, as a second opinion."""

import json
import tempfile
from pathlib import Path


def hooked_transformer(folder: Path, *, n_ctx: int, centred: bool = False):
    """Convert a model's weights to a HookedTransformer in float32 on the CPU."""
    import torch
    import transformer_lens.loading_from_pretrained as conversion
    from transformer_lens import HookedTransformer
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    # TransformerLens guesses the family from the folder's path; so the folder must have a name that says nothing.
    with tempfile.TemporaryDirectory(prefix="loupe-") as neutral:
        config = json.loads((folder / "config.json").read_text())
        if config["model_type"] == "gpt2":  # newer files leave out n_ctx, but TransformerLens needs it
            config.setdefault("n_ctx", config["n_positions"])
        Path(neutral, "config.json").write_text(json.dumps(config))
        ours = conversion.get_pretrained_model_config(
            neutral, hf_cfg=theirs.config.to_dict(), fold_ln=False, device="cpu", n_ctx=n_ctx
        )
        state = conversion.get_pretrained_state_dict(neutral, ours, theirs)
    ours.tokenizer_name = None
    model = HookedTransformer(ours, move_to_device=False)
    model.load_and_process_state_dict(
        state, fold_ln=False, center_writing_weights=centred, center_unembed=False, fold_value_biases=False
    )
    return model.eval()
