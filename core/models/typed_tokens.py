"""A token of a vocabulary that a person types: its text, with the leading space if it has one, or its id as #262."""

import re

from core.errors import BadSettingError, OutOfRangeError
from core.models.encoding import encode
from core.models.language_model import LanguageModel
from core.models.tokens import label

_SHOWN = 6


def typed_token(model: LanguageModel, typed: str) -> int:
    """Return the id of a token that was typed. Raises BadSettingError for text that is no single token."""
    if number := re.fullmatch(r"#(\d{1,12})", typed.strip()):
        if not int(number[1]) < model.d_vocab:
            raise OutOfRangeError("Token", typed.strip(), model.d_vocab)
        return int(number[1])
    if typed in model.token_strings:
        return model.token_strings.index(typed)
    ids = encode(model.tokenizer, [typed])[0].ids if model.has_tokenizer and typed else []
    if len(ids) == 1 and ids[0] < model.d_vocab:
        return ids[0]
    parts = ", ".join(label(model.token_strings[i]) for i in ids[:_SHOWN] if i < model.d_vocab)
    reads = f": it reads it as {len(ids)} tokens, {parts}{' …' if len(ids) > _SHOWN else ''}" if ids else ""
    raise BadSettingError(
        f"{typed[:100]!r} is no token of {model.name}{reads}. Expected the text of one token, with its leading space "
        "if it has one, or an id such as #262."
    )
