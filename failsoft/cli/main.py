"""The command `failsoft`."""


def main() -> None:
    """Entry point."""
