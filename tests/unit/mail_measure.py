"""What reading a mail costs: a path a line comes in, a JSON object a line goes out.

Each mail is read by a process of its own, forked from this one, which has all modules loaded and
has read no mail: its peak of memory is that mail's, its bytes included.
"""

import json
import os
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from failsoft.events import Event
from failsoft.intake.mail import MailRules, read_mail

UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, in which a peak of memory is given
RULES = MailRules(mailbox="inbox", own=frozenset({"support@example.com"}))


def measured(path: str) -> dict[str, object]:
    """Read one mail, and say what it became and what it took."""
    before = getrusage(RUSAGE_SELF)
    found = read_mail(Path(path).read_bytes(), RULES)
    after = getrusage(RUSAGE_SELF)
    event = found.to_json() if isinstance(found, Event) else None
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "key": found.key,
        "event": event,
        "reason": None if isinstance(found, Event) else found.reason,
        "kept": None if isinstance(found, Event) or found.raw is None else len(found.raw),
        "seconds": seconds,
        "bytes": (after.ru_maxrss - before.ru_maxrss) * UNIT,
    }


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.stdout.write(json.dumps(measured(line.rstrip("\n"))) + "\n")
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:  # it was killed, or ended by an error: the test says which mail it was
            sys.stdout.write(json.dumps({"died": status}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
