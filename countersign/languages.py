"""Languages: which one a text is in, by its script and its commonest words. Coarse: only to see that a mix changes."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

UNCLEAR = "unclear"
_LOOKED_AT = 2_000
# The first word of a letter's name in Unicode, and what is told of it.
_SCRIPTS = {
    "ARABIC": "Arabic script", "CYRILLIC": "Cyrillic script", "DEVANAGARI": "Devanagari", "GREEK": "Greek",
    "HANGUL": "Korean", "HEBREW": "Hebrew", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "CJK": "Chinese",
    "THAI": "Thai",
}  # fmt: skip
# Words that are common in one of these languages and rare in the others.
_WORDS = {
    "English": "the is are was were not with this that from has have been and of to for on at by it please cannot",
    "German": "der die das ist nicht und mit von auf für bei eine einen wird wurde kann bitte sind nach auch",
    "French": "le les des est une dans pour pas avec sur ne qui sont vous nous été au aux du ce",
    "Spanish": "el los las una por para con no es está que se del al como fue pero sin hay favor",
    "Italian": "il lo gli una per con non è che di del della sono alla nel più stato anche dal",
    "Portuguese": "o os as uma por para com não é está que do da no na foi mas dos das ao",
    "Dutch": "de het een is niet en van op voor met zijn kan wordt naar bij door deze dit geen aan",
}
_LANGUAGES = {name: frozenset(words.split()) for name, words in _WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")


def language(text: str) -> str:
    """The language's name, or its script's; "unclear" where two are as likely, or too little is said."""
    words = _WORD.findall(text[:_LOOKED_AT].casefold())
    scripts = Counter(_script(word[0]) for word in words if not word.isascii())
    common = scripts.most_common(1)
    if common and common[0][0] and 2 * common[0][1] > len(words):
        return common[0][0]
    hits = Counter({name: sum(word in known for word in words) for name, known in _LANGUAGES.items()})
    (best, most), (_, second) = hits.most_common(2)
    return best if most > second else UNCLEAR


def _script(letter: str) -> str:
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "")
