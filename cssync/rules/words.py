"""Words of a list as they are looked for in texts: whole words where a script sets blanks between them.

A word that begins or ends with a letter of the Latin, Greek or Cyrillic alphabet, or with a digit, is not found where
another of these stands right before or after it: `API` is in "api-key" and in "APIが必要", not in "rapid". Words of
other scripts are found anywhere: Japanese, Chinese and Thai set no blanks, Korean, Arabic and Hebrew join particles to
words. A `*` at an end of the word lets it go on there.

Which characters are letters is a table of code points, so that every engine says the same; none is asked what it takes
for a letter. Combining accents are among them: "école" is one word in either form of Unicode.
"""

from __future__ import annotations

from dataclasses import dataclass

STAR = "*"
LETTERS = "0-9a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u052f\u1e00-\u1ffc"
"""Letters and digits of a folded text, as they stand in the brackets of GLOB and of regular expressions: from À to ԯ
and from Ḁ to ῼ, without × and ÷."""
_RANGES = tuple((LETTERS[n], LETTERS[n + 2]) for n in range(0, len(LETTERS), 3))
_FOLD = {ord(c): ord(c.lower()) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def folded(text: str) -> str:
    """Return a text with the letters A to Z in lower case: the one case rule that every SQL engine shares."""
    return text.translate(_FOLD)


@dataclass(frozen=True, slots=True)
class Word:
    """What is looked for in a folded text. begins, ends: whether no letter or digit may stand right before or after."""

    letters: str
    begins: bool
    ends: bool

    def is_in(self, text: str) -> bool:
        """Whether a folded text mentions it, at whichever place."""
        at = text.find(self.letters)
        while at >= 0:
            end = at + len(self.letters)
            goes_on = (self.begins and _joins(text[at - 1 : at])) or (self.ends and _joins(text[end : end + 1]))
            if not goes_on:
                return True
            at = text.find(self.letters, at + 1)
        return False


def word(member: str) -> Word:
    """Return a list's member as the word that it stands for."""
    letters, (before, after) = folded(bare(member)), _open(member)
    return Word(letters, not before and _joins(letters[:1]), not after and _joins(letters[-1:]))


def bare(member: str) -> str:
    """Return a member without the stars at its ends: what is looked for, as it is written and shown."""
    before, after = _open(member)
    return member[before : len(member) - after]


def _open(member: str) -> tuple[bool, bool]:
    """Whether a star stands at its beginning, and at its end."""
    return member.startswith(STAR), len(member) > 1 and member.endswith(STAR)


def _joins(character: str) -> bool:
    """Whether this is a letter or digit that would make a word of what it touches; "" is none."""
    return any(first <= character <= last for first, last in _RANGES)
