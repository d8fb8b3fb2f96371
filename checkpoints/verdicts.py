"""What a person's answer means for the write that it is about."""

from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from failsoft.checkpoints.effects import (
    Effect,
    EffectState,
    effect_of,
    request_hash,
    transaction_id,
)
from failsoft.checkpoints.queries import load
from failsoft.errors import UsageError
from failsoft.parsing import JSON, JSONObject

SQL = load("effects")

# A write that is surely not there. Only such a one gets a next generation: any other might then
# stand twice on the other side.
NOT_THERE = (EffectState.FAILED, EffectState.WAITING)


async def carry_out(
    connection: AsyncConnection[DictRow],
    run_id: UUID,
    transaction: str,
    *,
    choice: str,
    value: JSON,
) -> JSONObject:
    """Change the write in the transaction that keeps the answer; return the facts for its audit.

    `edit` and `retry` of a write that is not there begin its next generation; `retry` of an
    undecided one has it looked for again before any send; `respond` to that says where it is.
    Any other answer leaves the write alone.

    Raises:
        UsageError: the answer does not fit the write.
    """
    cursor = await connection.execute(SQL["lock"], {"transaction_id": transaction})
    row = await cursor.fetchone()
    if row is None:
        raise UsageError(f"There is no write {transaction}.")
    effect = effect_of(row)
    undecided = effect.state is EffectState.NEEDS_HUMAN
    if choice == "edit":
        return await _begin_next(connection, run_id, effect, _edited(effect, value))
    if choice == "retry" and effect.state is EffectState.FAILED:
        return await _begin_next(connection, run_id, effect, effect.request)
    if choice == "retry" and undecided:
        await connection.execute(SQL["look_again"], {"transaction_id": transaction})
        return {"transaction_id": transaction, "effect": EffectState.UNKNOWN}
    if choice == "respond" and undecided:
        found = {"transaction_id": transaction, "external_id": _external_id(value)}
        await connection.execute(SQL["point_out"], found)
        return {"transaction_id": transaction, "effect": EffectState.DONE}
    return {"transaction_id": transaction}


async def _begin_next(
    connection: AsyncConnection[DictRow], run_id: UUID, effect: Effect, request: JSONObject
) -> JSONObject:
    generation = effect.generation + 1
    next_id = transaction_id(run_id, effect.node, effect.item_key, generation)
    fingerprint = request_hash(request)
    values = {
        "transaction_id": effect.transaction_id,
        "next_id": next_id,
        "request": Jsonb(request),
        "request_hash": fingerprint,
    }
    cursor = await connection.execute(SQL["next_generation"], values)
    if await cursor.fetchone() is None:
        raise UsageError(f"Somebody has changed the write {effect.transaction_id} already.")
    return {
        "transaction_id": next_id,
        "effect": EffectState.WAITING,
        "generation": generation,
        "request_hash": fingerprint,
    }


def _edited(effect: Effect, value: JSON) -> JSONObject:
    if effect.state not in NOT_THERE:
        raise UsageError(
            f"The write {effect.transaction_id} is {effect.state}: it may be there,"
            " so it cannot be edited."
        )
    if not isinstance(value, dict):
        raise UsageError("The answer `edit` needs the edited request, a JSON object.")
    return value


def _external_id(value: JSON) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError("The answer `respond` needs the id under which the write was found.")
    return value.strip()
