"""What `failsoft doctor` looks at in Jira: the site, the account, its permissions, its projects."""

from collections.abc import Awaitable, Callable

from failsoft.connectors.answers import read
from failsoft.connectors.contract import Finding
from failsoft.connectors.jira_errors import complaint
from failsoft.connectors.jira_flavor import Flavor
from failsoft.errors import InvalidDataError, RefusedError
from failsoft.http import Response
from failsoft.parsing import JSON, JSONObject

PERMISSIONS = {  # and what we need each for
    "BROWSE_PROJECTS": "to find what we wrote when an answer is lost",
    "CREATE_ISSUES": "to open tickets",
}
MAX_NAMED = 20  # projects that are named

Get = Callable[[str], Awaitable[Response]]  # by a path behind the API's


async def examined(get: Get, flavor: Flavor, *, now: float) -> list[Finding]:
    """Look at all of it; `now` is in seconds since 1970.

    Raises:
        RefusedError: the account is not let in.
        TransientError: Jira cannot be read now.
    """
    site = await _site(get, flavor, now)
    if site.mend:
        return [site]  # whatever else is asked, another program answers
    account = await _object(get, "myself", now)
    named = account.get("displayName") or account.get("name") or account.get("accountId")
    granted = await _object(get, f"mypermissions?permissions={','.join(PERMISSIONS)}", now)
    return [
        site,
        Finding(name="account", detail=f"{named}"),
        *(_permission(granted, name) for name in PERMISSIONS),
        await _projects(get, flavor, now),
    ]


async def _site(get: Get, flavor: Flavor, now: float) -> Finding:
    response = await get("serverInfo")
    if response.status == 404:
        mend = (
            "set FAILSOFT_JIRA_BASE_URL to the address of the site, without a path behind it, "
            "and FAILSOFT_JIRA_FLAVOR to cloud or datacenter"
        )
        return Finding(name="site", detail=f"has no {flavor.api}", mend=mend)
    info = read(response, "Jira GET serverInfo", complaint(response), now=now)
    kind, version = str(info.get("deploymentType")), info.get("version")
    if (kind == "Cloud") == flavor.is_cloud:
        return Finding(name="site", detail=f"{info.get('baseUrl')}: {kind} {version}")
    right = "cloud" if kind == "Cloud" else "datacenter"
    return Finding(name="site", detail=f"is {kind}", mend=f"set FAILSOFT_JIRA_FLAVOR to {right}")


def is_granted(answer: JSONObject, name: str) -> bool:
    """Tell whether an answer of `mypermissions` grants a permission."""
    permissions = answer.get("permissions")
    known = permissions.get(name) if isinstance(permissions, dict) else None
    return isinstance(known, dict) and known.get("havePermission") is True


def _permission(answer: JSONObject, name: str) -> Finding:
    if is_granted(answer, name):
        return Finding(name=name, detail="is granted")
    mend = f"grant it, {PERMISSIONS[name]}: Project settings > Permissions, for the account's role"
    return Finding(name=name, detail="is granted in no project", mend=mend)


async def _projects(get: Get, flavor: Flavor, now: float) -> Finding:
    """Name what the account sees; which of them an agent needs is known to its routes only."""
    response = await get(flavor.projects)
    if response.status != 200:
        read(response, f"Jira GET {flavor.projects}", complaint(response), now=now)
    keys = _keys(response)
    shown = ", ".join(keys[:MAX_NAMED]) + (", …" if len(keys) > MAX_NAMED else "")
    mend = "" if keys else "let the account see the projects that tickets go to"
    return Finding(name="projects", detail=shown or "sees none", mend=mend)


def _keys(response: Response) -> list[str]:
    """Cloud answers a page, Data Center a list."""
    try:
        answer: JSON = response.json()
    except InvalidDataError:
        raise RefusedError("Jira answered no list of projects") from None
    listed = answer.get("values") if isinstance(answer, dict) else answer
    return [
        str(project["key"])
        for project in (listed if isinstance(listed, list) else [])
        if isinstance(project, dict) and "key" in project
    ]


async def _object(get: Get, path: str, now: float) -> JSONObject:
    response = await get(path)
    return read(response, f"Jira GET {path.partition('?')[0]}", complaint(response), now=now)
