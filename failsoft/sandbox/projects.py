"""The simulated Jira site: its projects, issue types, components and accounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from failsoft.parsing import JSONObject, load_yaml

SITE = Path(__file__).with_name("projects.yaml")
SELF_ACCOUNT = "acc-failsoft"


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """Something that Jira addresses by a numeric id or by its name."""

    id: str
    name: str

    def meant_by(self, value: object) -> bool:
        """Say whether a field's value, `{"id": …}` or `{"name": …}`, is this one."""
        if not isinstance(value, Mapping):
            return False
        return str(value.get("id", "")) == self.id or value.get("name") == self.name

    def as_json(self) -> JSONObject:
        return {"id": self.id, "name": self.name}


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """One project; its issues are `KEY-1`, `KEY-2` and so on."""

    id: str
    key: str
    name: str
    lead: str
    types: tuple[Named, ...]
    components: tuple[Named, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Everything that is configured in the simulated Jira."""

    projects: tuple[Project, ...]
    priorities: tuple[Named, ...]
    accounts: Mapping[str, str]  # display name by account id

    def project(self, key_or_id: object) -> Project | None:
        return next((one for one in self.projects if key_or_id in (one.key, one.id)), None)


class _ProjectFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    lead: str
    types: list[str]
    components: list[str]


class _SiteFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    types: list[str]
    priorities: list[str]
    projects: dict[str, _ProjectFile]
    accounts: dict[str, str]


@cache
def load_site() -> Site:
    """Read `projects.yaml`; ids follow from the places in the file, so they never change."""
    read = _SiteFile.model_validate(load_yaml(SITE))
    types = {name: Named(id=str(10_001 + at), name=name) for at, name in enumerate(read.types)}
    projects = tuple(
        Project(
            id=str(10_000 + place),
            key=key,
            name=one.name,
            lead=one.lead,
            types=tuple(types[name] for name in one.types),
            components=tuple(
                Named(id=str(10_100 + 10 * place + at), name=name)
                for at, name in enumerate(one.components)
            ),
        )
        for place, (key, one) in enumerate(read.projects.items())
    )
    priorities = tuple(Named(id=str(at + 1), name=name) for at, name in enumerate(read.priorities))
    return Site(projects=projects, priorities=priorities, accounts=read.accounts)
