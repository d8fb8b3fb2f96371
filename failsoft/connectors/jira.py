"""Jira, Cloud or Data Center: create one issue, and find it when nobody knows whether it is there.

Jira enforces no uniqueness and its search is stale for minutes or hours, so absence is proved by
reading every key that can have been given since the claim.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import override

from failsoft.clock import Clock
from failsoft.connectors.answers import attempt, judge, read
from failsoft.connectors.contract import (
    Absent,
    Consistency,
    Done,
    Failed,
    Finding,
    Found,
    Operation,
    Outcome,
    Unknown,
)
from failsoft.connectors.jira_errors import complaint
from failsoft.connectors.jira_examination import examined, is_granted
from failsoft.connectors.jira_fields import body_of, carries, label_of, project_of
from failsoft.connectors.jira_flavor import FLAVORS, Cloud, Flavor
from failsoft.errors import InvalidDataError, MissingSettingError, RefusedError, TransientError
from failsoft.http import Http, Parameters, Response
from failsoft.parsing import JSON, JSONObject
from failsoft.settings import Settings, Timing


class CreateIssue(Operation["Jira"]):
    """Create an issue that carries its transaction id as a label and as a property.

    The request has `project`, `issue_type`, `summary` and `description` (plain text), and may have
    `labels`, `components` (names), `assignee` (account id), `priority` (name) and `source_url`.
    """

    connector = "jira"
    name = "create_issue"
    consistency = Consistency.DIRECT_PROBE
    settle_seconds = 60.0

    @override
    def gate_key(self, request: JSONObject) -> str:
        return "jira:POST issue"  # Jira's burst limit is one for each site, method and route

    @override
    async def mark(self, client: "Jira", request: JSONObject) -> JSONObject:
        return {"after": await client.newest(project_of(request))}

    @override
    async def send(
        self, client: "Jira", request: JSONObject, transaction_id: str, *, within: float
    ) -> Outcome:
        try:
            body = body_of(request, transaction_id, client.flavor)
        except RefusedError as error:
            return Failed(reason=str(error))
        return await client.create(body, within=within)

    @override
    async def find(
        self, client: "Jira", request: JSONObject, transaction_id: str, mark: JSONObject
    ) -> Found | Absent:
        """Read every key after the mark, then ask the search for the label.

        The search alone proves nothing: it may be hours behind. It finds an issue that was moved.
        """
        project, after = project_of(request), mark.get("after")
        if not isinstance(after, int):
            raise RefusedError("The mark of an issue needs the number `after`.")
        issue = await client.probe(project, after, transaction_id)
        issue = issue or await client.labelled(transaction_id)
        if issue is None:
            return Absent(certain=True)
        return Found(external_id=str(issue["key"]), response=client.reference(issue))


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectFacts:
    """What a project offers to routes: the names that an issue may use."""

    project: str
    issue_types: tuple[str, ...]
    components: tuple[str, ...]


class Jira:
    """The client: one site, one account."""

    create_issue: ClassVar[CreateIssue] = CreateIssue()

    def __init__(
        self,
        base_url: str,
        *,
        authorization: SecretStr,
        timing: Timing,
        flavor: Flavor | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Raise ConfigurationError when `base_url` is no address."""
        self.http = Http(base_url, timing=timing, headers={"Authorization": authorization})
        self.flavor = flavor or Cloud()
        self._base_url = base_url.rstrip("/")
        self._timing = timing
        self._clock = clock or Clock()
        self._newest: dict[str, int] = {}  # issue number, by project

    def __repr__(self) -> str:
        return f"Jira({self._base_url!r})"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Raise MissingSettingError for the first setting that has no value."""
        base_url, token = settings.jira_base_url, settings.jira_token
        if not base_url:
            raise MissingSettingError("FAILSOFT_JIRA_BASE_URL", "the address of the Jira site")
        if token is None:
            raise MissingSettingError("FAILSOFT_JIRA_TOKEN", "the API token of a Jira account")
        flavor = FLAVORS[settings.jira_flavor]
        if settings.jira_flavor == "datacenter":  # a personal access token is enough
            authorization = f"Bearer {token.get_secret_value()}"
        elif settings.jira_email:
            pair = f"{settings.jira_email}:{token.get_secret_value()}".encode()
            authorization = f"Basic {base64.b64encode(pair).decode()}"
        elif urlsplit(base_url).hostname == "api.atlassian.com":  # there a token can be enough
            authorization = f"Bearer {token.get_secret_value()}"
        else:
            raise MissingSettingError("FAILSOFT_JIRA_EMAIL", "the account that the token is of")
        return cls(
            base_url,
            authorization=SecretStr(authorization),
            timing=settings.timing,
            flavor=flavor,
        )

    async def close(self) -> None:
        await self.http.close()

    async def examine(self) -> list[Finding]:
        """Look at the site, the account and its permissions; raises as `project_facts` does."""

        async def get(path: str) -> Response:
            return await self._ask("GET", path)

        return await examined(get, self.flavor, now=self._clock.now())

    async def project_facts(self, project: str) -> ProjectFacts:
        """Return the issue types and components of a project.

        Raises:
            RefusedError: the account does not see the project.
            TransientError: Jira cannot be read now.
        """
        key = project_of({"project": project})
        types = await self._read("GET", f"issue/createmeta/{key}/issuetypes")
        facts = await self._read("GET", f"project/{key}")
        return ProjectFacts(
            project=key,
            issue_types=_names(types.get(self.flavor.types)),
            components=_names(facts.get("components")),
        )

    async def may_assign(self, project: str) -> bool:
        """Tell whether our tickets there may have an assignee; raises as `project_facts` does."""
        key, name = project_of({"project": project}), "ASSIGN_ISSUES"
        asked = f"mypermissions?projectKey={key}&permissions={name}"
        return is_granted(await self._read("GET", asked), name)

    async def create(self, body: JSONObject, *, within: float) -> Outcome:
        """Create an issue, once."""
        what = "Jira create issue"
        sent = await attempt(
            self.http.request("POST", f"{self.flavor.api}issue", json=body, within=within)
        )
        if not isinstance(sent, Response):
            return sent
        if sent.status != 201:
            return judge(sent, what, complaint(sent), now=self._clock.now())
        try:
            issue = sent.object()
        except InvalidDataError:
            issue = {}
        if not _is_reference(issue):
            return Unknown(reason=f"{what}: status 201 without a readable key")
        self._note([issue])
        return Done(external_id=str(issue["key"]), response=self.reference(issue))

    async def newest(self, project: str) -> int:
        """Return an issue number that every later issue of the project exceeds."""
        if project not in self._newest:
            self._newest[project] = await self._searched_newest(project)
        return self._newest[project]

    async def probe(self, project: str, after: int, transaction_id: str) -> JSONObject | None:
        """Read the keys after `after`, page by page, beyond the newest known one.

        None says that it was read to the end and is not there.
        """
        newest = max(await self._searched_newest(project), self._newest.get(project, 0))
        low = after
        while True:
            issues = await self._page(project, low)
            self._note(issues)
            hits = [issue for issue in issues if carries(issue, transaction_id)]
            if hits:  # a clone made by a person copies the label, and comes later
                return min(hits, key=lambda issue: int(str(issue["id"])))
            low += self.flavor.page
            if not issues and low >= newest:
                return None

    async def labelled(self, transaction_id: str) -> JSONObject | None:
        """Return the issue that the search finds under the label; it may be far behind."""
        issues = await self._search(f'labels = "{label_of(transaction_id)}" ORDER BY created ASC')
        return issues[0] if issues else None

    def reference(self, issue: JSONObject) -> JSONObject:
        """Return what is stored of an issue."""
        key = str(issue["key"])
        return {"key": key, "id": issue["id"], "url": f"{self._base_url}/browse/{key}"}

    async def _page(self, project: str, low: int) -> list[JSONObject]:
        """Read the next keys after `low` directly, past the search index."""
        keys = [f"{project}-{low + step}" for step in range(1, self.flavor.page + 1)]
        return _issues(await self.flavor.issues(self._known, keys))

    async def _search(self, jql: str) -> list[JSONObject]:
        body: JSONObject = {"jql": jql, "maxResults": 1, "fields": ["labels"]}
        return _issues(await self._read("POST", self.flavor.search, body))

    async def _searched_newest(self, project: str) -> int:
        """Return what the search holds for the newest; a stale answer is only a lower one."""
        issues = await self._search(f'project = "{project}" ORDER BY created DESC')
        return max((_number(issue, project) for issue in issues), default=0)

    def _note(self, issues: Iterable[JSONObject]) -> None:
        for issue in issues:
            project = str(issue["key"]).rpartition("-")[0]
            known = self._newest.get(project, 0)
            self._newest[project] = max(known, _number(issue, project))

    async def _read(self, method: str, path: str, body: JSON = None) -> JSONObject:
        return self._object(method, path, await self._ask(method, path, body))

    async def _known(
        self, method: str, path: str, body: JSON = None, params: Parameters | None = None
    ) -> JSONObject | None:
        """Read what may not be there: None where Jira answers 404."""
        response = await self._ask(method, path, body, params)
        return None if response.status == 404 else self._object(method, path, response)

    async def _ask(
        self, method: str, path: str, body: JSON = None, params: Parameters | None = None
    ) -> Response:
        full, within = self.flavor.api + path, self._timing.send
        return await self.http.request(method, full, json=body, params=params, within=within)

    def _object(self, method: str, path: str, response: Response) -> JSONObject:
        what = f"Jira {method} {path}"
        return read(response, what, complaint(response), now=self._clock.now())


def _issues(answer: JSONObject) -> list[JSONObject]:
    issues = answer.get("issues")
    if not isinstance(issues, list):
        raise TransientError("Jira answered a reading without `issues`")
    return [issue for issue in issues if isinstance(issue, dict) and _is_reference(issue)]


def _is_reference(issue: JSONObject) -> bool:
    return isinstance(issue.get("key"), str) and str(issue.get("id")).isdecimal()


def _number(issue: JSONObject, project: str) -> int:
    """Return the number in an issue's key, 0 when it is no issue of `project` (it was moved)."""
    place, _, number = str(issue["key"]).rpartition("-")
    return int(number) if place == project and number.isdecimal() else 0


def _names(value: JSON) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(
        str(entry["name"]) for entry in entries if isinstance(entry, dict) and "name" in entry
    )
