"""What Jira says is wrong."""

from failsoft.errors import InvalidDataError
from failsoft.http import Response


def complaint(response: Response) -> str:
    """Return what Jira says, field by field, to be put behind the status."""
    if response.status in {401, 403}:
        return ": look at FAILSOFT_JIRA_EMAIL, FAILSOFT_JIRA_TOKEN and the account's permissions"
    try:
        answer = response.object()
    except InvalidDataError:
        return ""
    messages, errors = answer.get("errorMessages"), answer.get("errors")
    said = [str(message) for message in messages] if isinstance(messages, list) else []
    if isinstance(errors, dict):
        said += [f"{field}: {message}" for field, message in errors.items()]
    return ": " + "; ".join(said) if said else ""
