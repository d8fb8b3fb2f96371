"""Where a label's tickets go in Jira."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failsoft.connectors.jira import Jira, ProjectFacts
from failsoft.errors import ConfigurationError, PermanentError

if TYPE_CHECKING:
    from failsoft.connectors.clients import Clients


@dataclass(frozen=True, kw_only=True, slots=True)
class JiraRoute:
    """One route of `routes.yaml`; names, except `assignee`, which is an account id."""

    project: str
    issue_type: str
    components: tuple[str, ...]
    assignee: str
    priority: str

    async def check(self, clients: "Clients") -> str:
        """Say where it leads.

        Raises:
            ConfigurationError: the project is not visible, or offers not what the route names,
                or the account may not assign what the route assigns.
            TransientError: Jira cannot be read now.
        """
        jira = clients.get("jira")
        if not isinstance(jira, Jira):
            raise ConfigurationError("The connector `jira` is not Jira.")
        try:
            facts = await jira.project_facts(self.project)
            assigns = not self.assignee or await jira.may_assign(self.project)
        except PermanentError as error:
            raise ConfigurationError(f"project {self.project} cannot be used: {error}") from None
        if problem := self._missing(facts):
            raise ConfigurationError(f"{problem}: mend it in routes.yaml.")
        if not assigns:
            raise ConfigurationError(
                f"the account lacks ASSIGN_ISSUES in {self.project}, and the route has an "
                "assignee: grant it, or take the assignee out of routes.yaml."
            )
        return f"{self.project} {self.issue_type} {', '.join(self.components)}"

    def _missing(self, facts: ProjectFacts) -> str:
        if self.issue_type not in facts.issue_types:
            offered = ", ".join(facts.issue_types)
            return f"{facts.project} has no type {self.issue_type!r}, only {offered}"
        if unknown := sorted(set(self.components) - set(facts.components)):
            offered = ", ".join(facts.components)
            return f"{facts.project} has no component {unknown[0]!r}, only {offered}"
        return ""
