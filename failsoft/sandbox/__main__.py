"""`python -m failsoft.sandbox`."""

import argparse
import sys

from failsoft.errors import FailsoftError
from failsoft.sandbox import Until, serve


def main() -> int:
    """Read the command line, serve, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m failsoft.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="decides which calls faults hit")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds of Jira's search index")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    given = parser.parse_args()
    until = Until.PARENT if given.with_parent else Until.SIGNAL
    try:
        serve(given.host, given.port, seed=given.seed, lag=given.lag, until=until)
    except FailsoftError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
