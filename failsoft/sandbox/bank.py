"""A bank that keeps accounts: an entry is made once for each idempotency key, or it is refused."""

from dataclasses import dataclass, field

from failsoft.errors import InvalidDataError
from failsoft.parsing import JSON, JSONObject
from failsoft.sandbox.call import Answer, Call, Handler

PREFIX = "/bank"
OPENING = {"ann": 100_000, "bob": 0, "cleo": 0}  # cents


@dataclass(kw_only=True, slots=True)
class BankStore:
    """The accounts, and every entry in the order in which it was made; amounts are in cents."""

    balances: dict[str, int] = field(default_factory=lambda: dict(OPENING))
    entries: dict[str, JSONObject] = field(default_factory=dict)

    def as_json(self) -> JSONObject:
        balances: JSONObject = {**self.balances}
        return {"balances": balances, "entries": [*self.entries.values()]}


def enter(call: Call) -> Answer:
    """Make an entry: `cents` are added to `account`; a known key gets the first answer again."""
    bank = call.world.bank
    key = call.headers.get("idempotency-key") or f"call {call.ordinal}"
    if known := bank.entries.get(key):
        return Answer(body=known)
    try:
        given = call.json()
    except InvalidDataError:
        return _refused(400, "the body is no JSON object")
    account, cents = given.get("account"), given.get("cents")
    if not isinstance(account, str) or not isinstance(cents, int) or isinstance(cents, bool):
        return _refused(400, "`account` and `cents` are needed")
    if account not in bank.balances:
        return _refused(404, f"there is no account {account}")
    if bank.balances[account] + cents < 0:
        return _refused(422, f"the account {account} does not cover it")
    bank.balances[account] += cents
    made: JSONObject = {
        "id": f"entry-{len(bank.entries) + 1}",
        "key": key,
        "account": account,
        "cents": cents,
    }
    bank.entries[key] = made
    return Answer(status=201, body=made)


def refusal(status: int) -> JSON:
    """Return the body of a status that the bank answers."""
    return {"error": f"status {status}"}


def _refused(status: int, why: str) -> Answer:
    return Answer(status=status, body={"error": why})


ROUTES: tuple[tuple[str, str, Handler], ...] = (("POST", "/entries", enter),)
