"""What the demo's customers and machines send: sample mails, some of them more than once."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formataddr, formatdate

from failsoft.cli.demo_mail_forms import body_of, encoded
from failsoft.cli.demo_samples import Sample, Schedule, casts, read_samples
from failsoft.cli.private_sandbox import SUPPORT

PACKAGE = "failsoft.agents.email_salesforce"
ALIASES = (SUPPORT, "help@sandbox.example")  # of one mailbox
FIRST_DATE = 1_770_000_000
JOINS = frozenset({"reply", "references", "answer", "token"})  # kinds that join a case
ANSWERS_US = frozenset({"answer", "token"})  # those of them that answer our own mail
WITHOUT_ID = frozenset({"anonymous"})
NOBODY = ""  # the envelope's sender of a bounce


@dataclass(frozen=True, kw_only=True, slots=True)
class MailSample(Sample):
    """A sample mail: `form` is how its body is built, `headers` come besides the usual ones."""

    subject: str
    name: str
    form: str = "text"
    sender: str = ""  # an address where it matters; else a customer's
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One sample as it was written; the nonce is opaque, so nothing but copying can bring it on."""

    sample: MailSample
    nonce: str
    number: int
    sender: str
    message_id: str  # "": it has none
    root: "Letter | None"

    @property
    def text(self) -> str:
        return self.sample.text.replace("{nonce}", self.nonce) * self.sample.repeat

    @property
    def place(self) -> str:
        """Whom, and what, an answer to it would answer."""
        return f"{self.sender} {self.message_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Thanks:
    """A mail of ours, as the customer who answers it has it."""

    message_id: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """One delivery of a letter by one of our addresses; `thanks` is what it answers of ours."""

    letter: Letter
    alias: str
    thanks: Thanks | None = None

    @property
    def envelope_sender(self) -> str:
        return NOBODY if self.letter.sample.kind == "bounce" else self.letter.sender

    @property
    def raw(self) -> bytes:
        """The mail on the wire."""
        letter = self.letter
        sample = letter.sample
        lines = [
            f"Received: from relay.example by mx.sandbox.example for <{self.alias}>",
            f"From: {formataddr((sample.name, letter.sender))}",
            f"To: <{self.alias}>",
            f"Date: {formatdate(FIRST_DATE + 7 * letter.number)}",
            f"Subject: {encoded(sample.subject)}",
            *([f"Message-ID: {letter.message_id}"] if letter.message_id else []),
            *_threading(self),
            *(f"{name}: {value}" for name, value in sample.headers.items()),
        ]
        head = "".join(f"{line}\r\n" for line in lines)
        return head.encode() + body_of(sample.form, f"{letter.text}{_quoted(self)}\n", letter.nonce)

    @property
    def arrived(self) -> bytes:
        """The mail as the door that took it reads it."""
        path = b"Return-Path: <>\r\n" if self.envelope_sender == NOBODY else b""
        return path + self.raw


def write_letters(number: int, rng: random.Random) -> list[Letter]:
    """Write `number` mails; there are more of them than samples only with other nonces."""
    letters: list[Letter] = []
    for chosen in casts(read_samples(PACKAGE, MailSample), number, rng):
        sent: dict[str, Letter] = {}
        for sample in chosen:
            root = sent[sample.first] if sample.first else None
            sent[sample.id] = _write(sample, root, len(letters) + len(sent), rng)
        letters += sent.values()
    return letters


def postings_of(letters: Iterable[Letter], rng: random.Random) -> list[Sequence[Posting]]:
    """Deliver each letter, many of them again; what answers our thanks comes in a second act."""
    first, second = Schedule[Posting](rng=rng), Schedule[Posting](rng=rng)
    for letter in letters:
        late = letter.sample.kind in ANSWERS_US
        once, *again = [Posting(letter=letter, alias=alias) for alias in _aliases(letter, rng)]
        root = str(letter.root.number) if letter.root and not late else None
        (second if late else first).add(str(letter.number), once, again, after=root)
    return [first.in_order(), second.in_order()]


def _write(sample: MailSample, root: Letter | None, number: int, rng: random.Random) -> Letter:
    nonce, name = f"zq{rng.getrandbits(40):010x}", f"m{rng.getrandbits(64):016x}"
    message_id = "" if sample.kind in WITHOUT_ID else f"<{name}@mail.customers.example>"
    sender = sample.sender or f"writer{number}@customers.example"
    if root is not None and sample.kind in JOINS:
        sender = root.sender
    elif root is not None:  # a twin: another mail under the same id
        message_id = root.message_id
    return Letter(
        sample=sample, nonce=nonce, number=number, sender=sender, message_id=message_id, root=root
    )


def _aliases(letter: Letter, rng: random.Random) -> list[str]:
    """Return by which of our addresses a letter comes, one for each delivery."""
    chance, alias, other = rng.random(), *rng.sample(ALIASES, 2)
    if letter.sample.kind == "alias":
        return [alias, other]
    if chance < 0.15:
        return [alias, alias]
    if chance < 0.25:
        return [alias, alias, other]
    return [alias, other] if chance < 0.40 else [alias]


def _threading(posting: Posting) -> list[str]:
    """Return the headers by which a reply says what it answers; a token needs none."""
    kind, root, thanks = posting.letter.sample.kind, posting.letter.root, posting.thanks
    if root is None or kind not in JOINS:
        return []
    if kind == "references":
        return [f"References: <older.{root.number}@mail.customers.example>\r\n {root.message_id}"]
    if kind == "reply" or thanks is None:  # without thanks of ours one answers one's own mail
        return [f"In-Reply-To: {root.message_id}"]
    if kind == "answer":
        return [
            f"In-Reply-To: {thanks.message_id}",
            f"References: {root.message_id}\r\n {thanks.message_id}",
        ]
    return []


def _quoted(posting: Posting) -> str:
    """Return what a mail program puts under a reply."""
    root = posting.letter.root
    if root is None or posting.letter.sample.kind not in JOINS:
        return ""
    text = posting.thanks.text if posting.thanks else root.text
    return "\n\nSomebody wrote:\n" + "\n".join(f"> {line}" for line in text.strip().split("\n"))
