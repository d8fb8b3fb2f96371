"""What the sender wrote anew: a reply without the mail that it quotes.

One pass, line by line, without backtracking: the patterns look at the beginning of a line only.
"""

import re

QUOTE = ">"
LOOK_BACK = 4  # lines above a quote in which somebody may say whose it is
LOOK_AHEAD = 6  # lines in which the headers of a quoted mail stand
MAX_LINE = 300  # characters of a line that introduces a quote

_DIVIDER = re.compile(
    r"\s*[-_*=]{2,20}\s*(?:original message|original appointment|forwarded message|reply message"
    r"|urspr\u00fcngliche nachricht|weitergeleitete nachricht|message d'origine|message original"
    r"|mensaje original|messaggio originale|oorspronkelijk bericht)\s*[-_*=]{2,20}\s*",
    re.IGNORECASE,
)
_OPENS = re.compile(r"\s*(?:on|am|le|el|il|op|em|den|w dniu)\s", re.IGNORECASE)
_WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|a \u00e9crit|escribi\u00f3|ha scritto|schreef|escreveu|skrev"
    r"|napisa\u0142)\b",
    re.IGNORECASE,
)
_FROM = re.compile(r"\s*\**(?:from|von|de|da|van)\s?:\**\s", re.IGNORECASE)
_SENT = re.compile(
    r"\s*\**(?:sent|date|gesendet|datum|envoy\u00e9|enviado|fecha|inviato|verzonden)\s?:\**\s",
    re.IGNORECASE,
)
_TO = re.compile(
    r"\s*\**(?:to|an|\u00e0|para|a|aan|subject|betreff|objet|asunto|oggetto)\s?:", re.IGNORECASE
)


def without_quotes(text: str) -> str:
    """Return `text` without quoted lines and what introduces them; all of it if nothing is left."""
    kept: list[str] = []
    lines = text.split("\n")
    in_quote = False
    for number, line in enumerate(lines):
        if line.startswith(QUOTE):
            if not in_quote:
                _drop_introduction(kept)
            in_quote = True
        elif _divides(lines, number):
            break
        else:
            in_quote = False
            kept.append(line)
    _drop_introduction(kept)  # of a quote that is not marked
    return "\n".join(kept).strip() or text


def _divides(lines: list[str], number: int) -> bool:
    """Tell whether a mail that is quoted whole begins here, with a line or with its headers."""
    line = lines[number][:MAX_LINE]
    if _DIVIDER.fullmatch(line):
        return True
    if not _FROM.match(line):
        return False
    near = [each[:MAX_LINE] for each in lines[number + 1 : number + LOOK_AHEAD]]
    return any(_SENT.match(each) for each in near) and any(_TO.match(each) for each in near)


def _drop_introduction(kept: list[str]) -> None:
    """Take off "On Monday Ann wrote:", which may go over several lines, and blanks behind it."""
    end = len(kept)
    while end and not kept[end - 1].strip():
        end -= 1
    if not end or len(kept[end - 1]) > MAX_LINE or not kept[end - 1].rstrip().endswith(":"):
        return
    for start in range(end - 1, max(-1, end - 1 - LOOK_BACK), -1):
        said = " ".join(kept[start:end])
        if len(said) > MAX_LINE:
            return
        if _OPENS.match(said) and _WROTE.search(said):
            del kept[start:]
            return
    if _WROTE.search(kept[end - 1]):
        del kept[end - 1 :]
