"""The library's sets on two small vocabularies, in one of which all tokens begin with a space, and two typed sets."""

from core.token_sets.rules import candidates
from core.token_sets.sets import SMALLEST, TokenSets, built_in_sets
from core.token_sets.typed import set_from_text
from tests.oracles.shown import Case, Known, Planted, Shown, known

LETTERS = [*"abcdefghijklmnopqrstuvwxyz", " "]
DAYS = [" Monday", "Tuesday", " Tuesday", " Wednesday", "Thursday", " Friday"]
WORDS = [*"0123456789", "12", " 345", "Seven", " seven", "red", " Red", "blue", " green", "...", "!?", '"', "(", " RUN"]
SIGNS = ["д", "да", " нет", "в", "ж", "α", "βγ"]
OTHERS = [" running", "walking", "singing", " reading", " being", "undo", " unable"]
VOCABULARY = [*LETTERS, *DAYS, *WORDS, *SIGNS, *OTHERS]
SPACED = [" a", " b", " c", " dog", " Cat", " 7"]
TYPED = {"mine": ["red", "Tuesday", "deed", "Ω", r"/^\d\d$/", "/zz/", "seven"], "two": ["blue", "bad"]}
NAMES = dict.fromkeys(("set_group", "set_rule", "set_preview"), "words")
SET = {"token_set": "token_set"}


def case(folder) -> Case:
    shown = []
    for what, strings in (("library", VOCABULARY), ("spaced", SPACED)):
        rules = {item.name: item.rule for item in candidates(strings)}
        given = {"strings": strings, "rules": rules, "smallest": SMALLEST}
        shown.append(Shown(what, built_in_sets(strings).to_frame(strings), given, SET, not_held=NAMES))
    typed = TokenSets(tuple(set_from_text(name, "\n".join(lines), VOCABULARY) for name, lines in TYPED.items()))
    given = {"strings": VOCABULARY, "rules": TYPED, "smallest": 1}
    shown.append(Shown("typed", typed.to_frame(VOCABULARY), given, SET, not_held=NAMES))
    return Case(shown, planted())


def planted() -> list[Planted | Known]:
    days, mine = {"token_set": "weekdays"}, {"token_set": "mine"}
    tiny = {"strings": ["ab", " c", "d", "c"], "rules": {"it": "any case: AB, C, cd, x"}, "token_set": "it"}
    every = {"strings": ["a", "b"], "rules": {"it": "/./"}, "token_set": "it"}
    return [
        Planted("set_size", len(DAYS), "they were put there", days, "library"),
        Planted("missing_words", "Saturday, Sunday", "the vocabulary has no S", days, "library"),
        Planted("left_out_because", "", "six days are enough", days, "library"),
        Planted("set_size", 5, "five tokens hold a Cyrillic letter", {"token_set": "script_cyrillic"}, "library"),
        Planted(
            "left_out_because", "2 tokens, fewer than 5", "two hold Greek", {"token_set": "script_greek"}, "library"
        ),
        Planted("set_size", None, "two hold Greek", {"token_set": "script_greek"}, "library"),
        Planted("several_token_words", "deed", "its letters are tokens", mine),
        Planted("missing_words", "Ω, /zz/", "no token has either", mine),
        Planted("set_size", 5, "red, seven, 12, and Tuesday with and without a space", mine),
        known("set_size", 3, "ab, and c twice", **tiny, smallest=2),
        known("several_token_words", "cd", "c and d", **tiny, smallest=2),
        known("missing_words", "x", "no token gives it", **tiny, smallest=2),
        known("left_out_because", "3 tokens, fewer than 4", "ab, and c twice", **tiny, smallest=4),
        known("left_out_because", "", "three are enough", **tiny, smallest=3),
        known("left_out_because", "all 2 tokens, so there is nothing to compare with", "both", **every, smallest=1),
    ]
