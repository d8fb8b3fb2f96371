"""Where a label's cases go in Salesforce."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failsoft.connectors.salesforce import Salesforce
from failsoft.errors import ConfigurationError, PermanentError

if TYPE_CHECKING:
    from failsoft.connectors.clients import Clients


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRoute:
    """One route of `routes.yaml`: the DeveloperName of a queue, and a priority of Case."""

    queue: str
    priority: str

    async def check(self, clients: "Clients") -> str:
        """Say where it leads.

        Raises:
            ConfigurationError: there is no such queue or priority, or nobody lets us look.
            TransientError: Salesforce cannot be read now.
        """
        salesforce = clients.get("salesforce")
        if not isinstance(salesforce, Salesforce):
            raise ConfigurationError("The connector `salesforce` is not Salesforce.")
        try:
            await salesforce.queue_id(self.queue)
            offered = await salesforce.priorities()
        except PermanentError as error:
            raise ConfigurationError(f"{error}: mend it in routes.yaml, or in Setup.") from None
        if self.priority not in offered:
            known = ", ".join(offered)
            raise ConfigurationError(
                f"Case has no priority {self.priority!r}, only {known}: mend it in routes.yaml."
            )
        return f"queue {self.queue}, priority {self.priority}"
