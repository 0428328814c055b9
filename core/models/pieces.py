"""Tokens as pieces of the text that they decode to together.

Each piece is what one token adds to the decoded text. A byte-level tokenizer may spread one character over several
tokens; the whole character is then the piece of the token that completes it, and the earlier tokens have empty pieces.
"""

import codecs
from collections.abc import Sequence

from core.models.tokens import byte_alphabet


def token_pieces(tokenizer, ids: Sequence[int]) -> list[str]:
    """Return one piece of text per token; joined they are exactly `tokenizer.decode(ids)`, special tokens included.

    `tokenizer` is a `tokenizers.Tokenizer`. An empty piece is a token that completes no character. Bytes that
    are no UTF-8 become U+FFFD, as the tokenizer does it, at the token where that becomes clear.
    """
    ids = [int(i) for i in ids]
    if type(tokenizer.decoder).__name__ == "ByteLevel":
        return _pieces_of_bytes([tokenizer.id_to_token(i) for i in ids])
    return _pieces_by_decoding(tokenizer, ids)


def _pieces_of_bytes(raw: Sequence[str | None]) -> list[str]:
    """Decode byte-level tokens one after the other; None stands for an id that the tokenizer does not know."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = [decoder.decode(_token_bytes(token)) for token in raw]
    if pieces:
        pieces[-1] += decoder.decode(b"", final=True)
    return pieces


def _token_bytes(raw: str | None) -> bytes:
    alphabet = byte_alphabet()
    if all(character in alphabet for character in raw or ""):
        return bytes(alphabet[character] for character in raw or "")
    return raw.encode("utf-8", "replace")  # an added token is stored as plain text


def _pieces_by_decoding(tokenizer, ids: list[int]) -> list[str]:
    """Decode every beginning of the ids. This is slow, but works with any decoder: the last beginning is the whole."""
    beginnings = [ids[: end + 1] for end in range(len(ids))]
    texts = tokenizer.decode_batch(beginnings, skip_special_tokens=False)
    pieces, start = [], 0
    for text in texts:
        whole, end = texts[-1], start
        # The next tokens may still change the end of this text, for example half a character.
        while end < min(len(text), len(whole)) and text[end] == whole[end]:
            end += 1
        pieces.append(whole[start:end])
        start = end
    return pieces
