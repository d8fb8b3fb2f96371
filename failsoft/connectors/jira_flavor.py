"""What Jira Cloud and Jira Data Center do differently: paths, texts, people, reading many keys."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from typing_extensions import override

from failsoft.connectors import adf, wiki
from failsoft.errors import RefusedError
from failsoft.parsing import JSON, JSONObject

PROPERTY = "failsoft.txn"

# Reads with method, path, body and parameters; None says that there is no such thing.
Read = Callable[..., Awaitable[JSONObject | None]]


class Flavor(ABC):
    """One of the two; it holds no state."""

    is_cloud: ClassVar[bool]
    api: ClassVar[str]
    search: ClassVar[str]  # the path that takes JQL
    types: ClassVar[str]  # where createmeta holds the issue types
    projects: ClassVar[str]  # the path that lists them
    page: ClassVar[int]  # keys that are read before the end is looked for again

    @abstractmethod
    def text(self, text: str, source_url: str | None) -> JSON:
        """Return plain text as a description in which nothing is markup."""

    @abstractmethod
    def person(self, name: str) -> JSONObject:
        """Return the one who is named in a route."""

    @abstractmethod
    async def issues(self, read: Read, keys: Sequence[str]) -> JSONObject:
        """Read those of `keys` that exist, as `issues`, directly, past the search index."""


class Cloud(Flavor):
    """Atlassian's own: API 3, Atlassian Documents, account ids."""

    is_cloud = True
    api = "rest/api/3/"
    search = "search/jql"
    types = "issueTypes"
    projects = "project/search"
    page = 100

    @override
    def text(self, text: str, source_url: str | None) -> JSON:
        return adf.document(text, source_url=source_url)

    @override
    def person(self, name: str) -> JSONObject:
        return {"id": name}

    @override
    async def issues(self, read: Read, keys: Sequence[str]) -> JSONObject:
        body: JSONObject = {
            "issueIdsOrKeys": [*keys], "fields": ["labels"], "properties": [PROPERTY],
        }  # fmt: skip
        found = await read("POST", "issue/bulkfetch", body)
        if found is None:
            raise RefusedError("Jira has no issue/bulkfetch: is FAILSOFT_JIRA_FLAVOR right?")
        return found


class DataCenter(Flavor):
    """Self-hosted, 8.4 or newer: API 2, wiki text, user names, no reading of many issues at once.

    A key that nobody was given is answered with 404, as is one that the account may not see.
    """

    is_cloud = False
    api = "rest/api/2/"
    search = "search"
    types = "values"
    projects = "project"
    page = 20

    @override
    def text(self, text: str, source_url: str | None) -> JSON:
        return wiki.text(text, source_url=source_url)

    @override
    def person(self, name: str) -> JSONObject:
        return {"name": name}

    @override
    async def issues(self, read: Read, keys: Sequence[str]) -> JSONObject:
        asked = {"fields": "labels", "properties": PROPERTY}
        found = [await read("GET", f"issue/{key}", params=asked) for key in keys]
        return {"issues": [issue for issue in found if issue is not None]}


FLAVORS: dict[str, Flavor] = {"cloud": Cloud(), "datacenter": DataCenter()}
