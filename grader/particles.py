"""Korean particles after a word that is filled in: chosen by its last sound, or both ways where nothing tells it.

은 after a consonant is 는 after a vowel. A digit is read in Korean, capitals letter by letter; how any other word of
Latin letters is read, its spelling does not say. What stands in brackets behind a word is passed over.
"""

from __future__ import annotations

# After a consonant → (after a vowel, where it is not known which).
PARTICLES = {
    "은": ("는", "은(는)"),
    "이": ("가", "이(가)"),
    "을": ("를", "을(를)"),
    "과": ("와", "과(와)"),
    "으로": ("로", "(으)로"),
    "이라": ("라", "(이)라"),
    "이며": ("며", "(이)며"),
    "이고": ("고", "(이)고"),
    "이어야": ("여야", "이어야(여야)"),
}
_CLOSING = " \t\n)]}”’\"'`*_."
_FIRST, _LAST, _FINALS = 0xAC00, 0xD7A3, 28  # the Hangul syllables stand in the order of their final consonants
_RIEUL = 8  # ㄹ, after which 로 stands as after a vowel
_DIGITS = {
    "0": 21,
    "1": _RIEUL,
    "3": 16,
    "6": 1,
    "7": _RIEUL,
    "8": _RIEUL,
}  # 영 일 삼 육 칠 팔; the others end in vowels
_LETTERS = {"L": _RIEUL, "M": 16, "N": 4, "R": _RIEUL}  # 엘 엠 엔 알


def particle(wanted: str, word: str) -> str:
    """The form of a particle of PARTICLES that follows `word`."""
    after_vowel, either = PARTICLES[wanted]
    before, _, _ = word.rpartition("(") if word.endswith(")") else ("", "", "")
    final = _final((before if before.strip(" ([") else word).rstrip(_CLOSING))
    if final is None:
        return either
    return after_vowel if final == 0 or (wanted == "으로" and final == _RIEUL) else wanted


def _final(word: str) -> int | None:
    """The number of the consonant in which a word ends, 0 for a vowel; None where its reading is not known."""
    last = word[-1:]
    if last and _FIRST <= ord(last) <= _LAST:
        return (ord(last) - _FIRST) % _FINALS
    if last.isascii() and last.isdigit():
        return _DIGITS.get(last, 0)
    if last == "%":
        return 0  # 퍼센트
    if last.isascii() and last.isupper() and (word[-2:-1].isupper() or len(word) == 1):
        return _LETTERS.get(last, 0)
    return None
