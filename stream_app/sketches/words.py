"""Text to words, in the one normal form that every sketch uses."""

import re
import unicodedata

#: Scripts written without spaces (Thai, kana, Han): there each character counts as a word.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"

WORD_PATTERN = rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’][^\W_{_UNSPACED}]+)*"

_WORD = re.compile(WORD_PATTERN)
_MARK = re.compile(r"\S")

#: Characters that show nothing: soft hyphen, zero-width spaces and joiners, byte order mark.
_INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))


def normalized(text: str) -> str:
    """Compatibility form (NFKC) without invisible characters; case is kept."""
    return unicodedata.normalize("NFKC", text).translate(_INVISIBLE)


def words(text: str) -> list[str]:
    """Case-folded words in their order; single marks when the text has no word at all."""
    folded = text.casefold()
    return _WORD.findall(folded) or _MARK.findall(folded)
