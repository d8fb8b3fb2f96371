"""`failsoft --help` waits for no library."""

import json
import subprocess
import sys

from failsoft.cli.main import COMMANDS

HEAVY = {"langgraph", "langchain_core", "psycopg", "pydantic_settings", "aiohttp", "httpx2"}
PROGRAM = """
import json, sys
from failsoft.cli.main import command
command(["--help"], standalone_mode=False)
print(json.dumps(sorted(sys.modules)))
"""


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    shown, _, modules = done.stdout.rpartition("\n[")
    assert all(f"  {name}" in shown for name in COMMANDS)
    loaded = {name.partition(".")[0] for name in json.loads(f"[{modules}")}
    assert not loaded & HEAVY
