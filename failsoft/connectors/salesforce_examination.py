"""What `failsoft doctor` looks at in Salesforce: the login, the two fields, and a clash."""

from failsoft.connectors.contract import Finding
from failsoft.connectors.salesforce_fields import field_of
from failsoft.connectors.salesforce_session import Session
from failsoft.errors import PermanentError, TransientError

KINDS = ("Case", "EmailMessage")
WANTED = {  # of a field's description, and how Setup calls it
    "externalId": "External ID",
    "unique": "Unique",
    "createable": "editable for the run-as user (field-level security)",
}
LENGTH = 26  # characters of a transaction id


async def examined(session: Session, txn_field: str) -> list[Finding]:
    """Look at all of it; raises TransientError or PermanentError where the login fails."""
    await session.login.token()
    findings = [await _field(session, kind, txn_field) for kind in KINDS]
    usage = session.usage.removeprefix("api-usage=") or "not told"
    return [
        Finding(name="login", detail=f"calls of the last 24 hours: {usage}"),
        *findings,
        await _clash(session, txn_field),
    ]


async def _field(session: Session, kind: str, txn_field: str) -> Finding:
    name = f"{kind}.{txn_field}"
    try:
        description = await session.describe(kind)
    except PermanentError as error:
        mend = f"give the run-as user access to {kind}: {error}"
        return Finding(name=name, detail="cannot be seen", mend=mend)
    field = field_of(description, txn_field)
    if field is None:
        mend = (
            "deploy salesforce/ of the repository (sf project deploy start), or make it in Setup > "
            f"Object Manager > {kind} > Fields & Relationships > New > Text, length 40, External "
            "ID, Unique (case-insensitive), and make it visible to the run-as user"
        )
        return Finding(name=name, detail="is missing, or the run-as user may not see it", mend=mend)
    lacks = [said for fact, said in WANTED.items() if field.get(fact) is not True]
    if not isinstance(length := field.get("length"), int) or length < LENGTH:
        lacks.append(f"at least {LENGTH} characters long")
    mend = f"edit the field in Setup so that it is {' and '.join(lacks)}" if lacks else ""
    return Finding(name=name, detail="is there", mend=mend)


async def _clash(session: Session, txn_field: str) -> Finding:
    """Say whether others store incoming mail: only what is there can be seen, not Setup."""
    name = "Email-to-Case"
    try:
        rows = await session.query(
            f"SELECT CreatedDate FROM EmailMessage WHERE Incoming = true AND {txn_field} = null"  # noqa: S608  # of our own settings
            " ORDER BY CreatedDate DESC LIMIT 1"
        )
    except (PermanentError, TransientError):
        return Finding(name=name, detail="cannot be seen; if it is on, use the agent email-to-case")
    if not rows:
        return Finding(name=name, detail="no incoming mail but our own")
    detail = (
        f"incoming mail that is not ours, the last of {rows[0].get('CreatedDate')}: where "
        "Email-to-Case makes cases of the same mails, use the agent email-to-case"
    )
    return Finding(name=name, detail=detail)
