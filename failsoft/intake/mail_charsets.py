"""Bytes of a mail as text: the declared charset, else UTF-8, else Latin-1, which takes any byte."""

import codecs
import encodings
import pkgutil
import re

from failsoft.parsing import clean_text

# Only what ships with Python: a look-up of an unknown name is remembered for ever.
_SHIPPED = frozenset(module.name for module in pkgutil.iter_modules(encodings.__path__))
_ALIASES = encodings.aliases.aliases
# No charsets of mail: they turn bytes into more bytes (zip), or take quadratic time.
_OTHERS = frozenset(
    ("aliases", "base64_codec", "bz2_codec", "charmap", "hex_codec", "idna", "mbcs", "oem",
     "punycode", "quopri_codec", "raw_unicode_escape", "rot_13", "undefined", "unicode_escape",
     "uu_codec", "zlib_codec")
)  # fmt: skip
_MISNAMED = {"iso_8859_8_i": "iso8859_8", "windows_874": "cp874", "x_sjis": "shift_jis"}
_SEPARATORS = re.compile(r"[^a-z0-9.]+")
MAX_NAME = 40  # characters


def decoded(content: bytes, charset: str | None, *, whole: bool = True) -> str:
    """Return `content` as Postgres takes it, with line feeds as line ends.

    Without `whole` it was cut off, maybe within a character.
    """
    for name in (codec_of(charset), "utf_8", "latin_1"):
        text = _decode(content, name, whole=whole) if name else None
        if text is not None:
            lines = text.removeprefix("\N{BYTE ORDER MARK}").replace("\r\n", "\n")
            return clean_text(lines.replace("\r", "\n"))
    return ""  # Latin-1 takes everything


def codec_of(charset: str | None) -> str | None:
    """Return the name of a charset's codec, None where it is not known as one of text."""
    if not charset or len(charset) > MAX_NAME or not charset.isascii():
        return None
    name = _SEPARATORS.sub("_", charset.lower()).strip("_")
    name = _MISNAMED.get(name) or _ALIASES.get(name) or _ALIASES.get(name.replace(".", "_"), name)
    return name if name in _SHIPPED - _OTHERS else None


def _decode(content: bytes, name: str, *, whole: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(name)().decode(content, final=whole)
    except (LookupError, TypeError, ValueError):  # a codec of bytes, or not these bytes
        return None
