"""The issues of the simulated Jira, and the search index that lags behind them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from failsoft.clock import Clock
from failsoft.parsing import JSONObject

FIRST_ID = 10_000


@dataclass(kw_only=True, slots=True)
class Issue:
    """One issue. `versions` are its fields after each write, with the monotonic time of it."""

    id: str
    key: str
    project: str
    number: int
    properties: JSONObject
    committed_at: float  # seconds since 1970
    ordinal: int  # of the create request on its route
    versions: list[tuple[float, JSONObject]]
    comments: list[JSONObject] = field(default_factory=list)
    links: list[JSONObject] = field(default_factory=list)

    @property
    def fields(self) -> JSONObject:
        return self.versions[-1][1]

    def indexed(self, until: float) -> JSONObject | None:
        """Return the fields as they were at the monotonic time `until`, None if not yet there."""
        return next((fields for at, fields in reversed(self.versions) if at <= until), None)

    def as_json(self) -> JSONObject:
        return {
            "id": self.id,
            "key": self.key,
            "project": self.project,
            "labels": self.fields["labels"],
            "properties": self.properties,
            "fields": self.fields,
            "comments": [*self.comments],
            "links": [*self.links],
            "committed_at": self.committed_at,
            "ordinal": self.ordinal,
        }


class IssueStore:
    """All issues in the order of their creation. `lag` is in seconds."""

    def __init__(self, clock: Clock, *, lag: float) -> None:
        self.lag = lag
        self._clock = clock
        self._numbers: Counter[str] = Counter()
        self._issues: dict[str, Issue] = {}
        self._keys: dict[str, str] = {}  # by id

    def create(
        self, project: str, fields: JSONObject, properties: JSONObject, *, ordinal: int
    ) -> Issue:
        """Store an issue with its labels and properties in one step."""
        self._numbers[project] += 1
        number = self._numbers[project]
        issue = Issue(
            id=str(FIRST_ID + len(self._issues)),
            key=f"{project}-{number}",
            project=project,
            number=number,
            properties=properties,
            committed_at=self._clock.now(),
            ordinal=ordinal,
            versions=[(self._clock.monotonic(), fields | {"created": self.stamp()})],
        )
        self._issues[issue.key] = issue
        self._keys[issue.id] = issue.key
        self.touch(issue, {})
        return issue

    def get(self, key_or_id: str) -> Issue | None:
        """Read directly, as GET and bulkfetch do: a commit is visible at once."""
        return self._issues.get(self._keys.get(key_or_id, key_or_id.upper()))

    def touch(self, issue: Issue, changes: JSONObject) -> None:
        """Write changed fields."""
        fields = issue.fields | changes | {"updated": self.stamp()}
        issue.versions.append((self._clock.monotonic(), fields))

    def index(self) -> Iterator[tuple[Issue, JSONObject]]:
        """Yield what search can see: every issue as it was `lag` seconds ago."""
        until = self._clock.monotonic() - self.lag
        for issue in self._issues.values():
            if (fields := issue.indexed(until)) is not None:
                yield issue, fields

    def stamp(self) -> str:
        """Return the time in Jira's spelling."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}+0000"

    def as_json(self) -> list[JSONObject]:
        return [issue.as_json() for issue in self._issues.values()]
