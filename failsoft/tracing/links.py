"""Where a person looks at an attempt: a URL of the user's own, LangSmith, or the local file.

Links are made when somebody asks (a failing test, the command line), never while a run is driven.
LangSmith's variables belong to its SDK, so they are read here from the environment, not from our
settings.
"""

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

TIMEOUT_MS = (1500, 2500)  # connect, read; the SDK's own 60 s held one failing test for a minute
CACHE = "langsmith.json"
GUARDS = {
    # Otherwise a LangSmith that does not answer holds the exit of the process for minutes.
    "LANGSMITH_USE_DAEMON": "true",
    # Compressed batches leave from an executor whose threads Python joins at exit.
    "LANGSMITH_DISABLE_RUN_COMPRESSION": "true",
    # 10 000 by default, at about 25 KB each.
    "LANGSMITH_TRACING_QUEUE_MAX_SIZE": "2000",
}

_refused: dict[tuple[str, str], str] = {}  # (endpoint, project): why this process asks no more


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """What the URL of a trace needs besides its id."""

    host: str
    tenant: str
    project: str

    def url(self, trace_id: UUID) -> str:
        path = f"o/{self.tenant}/projects/p/{self.project}/r/{trace_id}"
        return f"{self.host.rstrip('/')}/{path}?trace_id={trace_id}"


def langsmith_is_on() -> bool:
    """Say whether LangSmith traces: its SDK takes the exact text `true` and nothing else."""
    return os.environ.get("LANGSMITH_TRACING") == "true"


def langsmith_guard() -> None:
    """Set what keeps LangSmith's outage from holding this process; call it before the first run.

    What the user has set stays. The SDK reads each variable once.
    """
    if langsmith_is_on():
        for variable, value in GUARDS.items():
            os.environ.setdefault(variable, value)


def flush(timeout: float) -> None:
    """Wait up to `timeout` seconds until LangSmith has what is queued; the rest may be lost.

    After LangSmith has failed to give a link in this process, nothing is waited for.
    """
    module = sys.modules.get("langsmith.run_trees")
    client = getattr(module, "_CLIENT", None)
    if client is not None and not _refused:
        client.flush(timeout=timeout)


def link_of(trace_id: UUID, *, folder: Path, template: str | None) -> str:
    """Return the URL of an attempt, or the path of its local trace, with the reason if in doubt.

    `template` is a URL with {trace_id} and {run_id}, and wins over LangSmith. There is no network
    unless LangSmith traces and its project is not known yet: then one request, at most 4 s.
    """
    local = folder / f"{trace_id}.jsonl"
    if template:
        run_id = _run_id(local) if "{run_id}" in template else ""
        return template.replace("{trace_id}", str(trace_id)).replace("{run_id}", run_id)
    if not langsmith_is_on():
        return str(local)
    found = _project(folder / CACHE)
    return found.url(trace_id) if isinstance(found, Project) else f"{local} ({found})"


def _run_id(local: Path) -> str:
    """Read the run from the first line of the local trace; empty when there is none."""
    try:
        with local.open(encoding="utf-8") as lines:
            first = json.loads(lines.readline())
        return quote(str(first["run_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _project(cache: Path) -> Project | str:
    """Return the project from settings, from the disk or from LangSmith, or why it is unknown."""
    endpoint = os.environ.get("LANGSMITH_ENDPOINT") or "https://api.smith.langchain.com"
    name = os.environ.get("LANGSMITH_PROJECT") or "default"
    tenant = os.environ.get("FAILSOFT_LANGSMITH_TENANT_ID")
    project = os.environ.get("FAILSOFT_LANGSMITH_PROJECT_ID")
    if tenant and project:
        return Project(host=_host(endpoint), tenant=tenant, project=project)
    if found := _cached(cache, endpoint, name):
        return found
    if reason := _refused.get((endpoint, name)):
        return reason
    looked_up = _look_up(endpoint, name)
    if isinstance(looked_up, Project):
        _remember(cache, endpoint, name, looked_up)
    return looked_up


def _host(endpoint: str) -> str:
    from langsmith.utils import get_host_url  # noqa: PLC0415  (only when LangSmith traces)

    return str(get_host_url(os.environ.get("FAILSOFT_LANGSMITH_WEB_URL"), endpoint))


def _look_up(endpoint: str, name: str) -> Project | str:
    """Ask LangSmith once, with a client of our own: the tracing one waits for 60 s and retries."""
    from langsmith import Client  # noqa: PLC0415  (only when LangSmith traces)
    from langsmith.utils import LangSmithNotFoundError  # noqa: PLC0415
    from urllib3.util import Retry  # noqa: PLC0415  (the type that the client asks for)

    try:
        client = Client(
            endpoint, timeout_ms=TIMEOUT_MS, retry_config=Retry(0), auto_batch_tracing=False
        )
        row = client.read_project(project_name=name)
        return Project(host=_host(endpoint), tenant=str(row.tenant_id), project=str(row.id))
    except LangSmithNotFoundError:  # it appears with its first trace: ask again next time
        return "LangSmith does not know the project yet"
    except Exception as error:  # noqa: BLE001  (no link is no failure)
        reason = f"no link from LangSmith: {type(error).__name__}"
        _refused[endpoint, name] = reason
        return reason


def _key(endpoint: str, name: str) -> str:
    return f"{endpoint} {name}"


def _cached(cache: Path, endpoint: str, name: str) -> Project | None:
    try:
        return Project(**json.loads(cache.read_text(encoding="utf-8"))[_key(endpoint, name)])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(cache: Path, endpoint: str, name: str, found: Project) -> None:
    """Keep a project on disk for the next process; without the disk it is looked up again."""
    try:
        known = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
        known = known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        known = {}
    known[_key(endpoint, name)] = asdict(found)
    half = cache.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        half.write_text(json.dumps(known), encoding="utf-8")
        half.replace(cache)
