"""A mail server that keeps what it is sent: SMTP on a port of its own, with the faults of HTTP.

The routes of faults are `SMTP MAIL`, `SMTP RCPT` and `SMTP DATA`; a mail is executed when its DATA
is accepted. It stands for every recipient, and takes any password but the bad one.
"""

import asyncio
from collections.abc import Mapping

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from failsoft.errors import UnavailableError
from failsoft.sandbox.call import Credential, credential
from failsoft.sandbox.door import Door
from failsoft.sandbox.faults import Fault, Kind
from failsoft.sandbox.mails import Mail
from failsoft.sandbox.state import Entry, World

HOSTNAME = "mail.sandbox.example"  # a name that needs no look-up
OK = "250 2.0.0 OK"
GARBAGE = "2 what?"  # no reply of any server


async def listen(door: Door, host: str) -> asyncio.Server:
    """Take mail on a free port.

    Raises:
        UnavailableError: there is none.
    """
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: _conversation(door), host, 0)
    except OSError as error:
        raise UnavailableError(f"No port for mail on {host}: {error.strerror}.") from None


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


class Clerk:
    """Answers the commands of one sender; the names of its methods are aiosmtpd's."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.late: set[asyncio.Task[None]] = set()

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        refusal = await self._met(server, "MAIL")
        if refusal is None:
            envelope.mail_from = address
        return refusal or OK

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        refusal = await self._met(server, "RCPT")
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or OK

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        world = self.door.world
        entry, faults = self._arrive(world, "DATA")
        mail = Mail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            raw=bytes(envelope.original_content or b""),
        )
        if (refusal := await self._before(server, faults)) is not None:
            return refusal
        if fault := faults.get(Kind.LATE_COMMIT):
            self._keep_later(world, entry, mail, fault.seconds)
            return _closed(server)
        await _keep(world, entry, mail)
        return await self._after(server, faults)

    async def _met(self, server: SMTP, command: str) -> str | None:
        """Let the faults of a command happen that executes nothing."""
        _, faults = self._arrive(self.door.world, command)
        refusal = await self._before(server, faults)
        return _closed(server) if refusal is None and Kind.DROP_AFTER in faults else refusal

    def _arrive(self, world: World, command: str) -> tuple[Entry, Mapping[Kind, Fault]]:
        entry = world.arrive("SMTP", command)
        faults = {fault.kind: fault for fault in reversed(world.faults.strike(entry.route))}
        entry.faults = [kind.value for kind in faults]
        return entry, faults

    async def _before(self, server: SMTP, faults: Mapping[Kind, Fault]) -> str | None:
        if fault := faults.get(Kind.LATENCY):
            await self.door.clock.sleep(fault.seconds)
        if fault := faults.get(Kind.STATUS):
            return f"{fault.status} {fault.body or 'refused by the sandbox'}"
        return _closed(server) if Kind.DROP_BEFORE in faults else None

    async def _after(self, server: SMTP, faults: Mapping[Kind, Fault]) -> str:
        for kind in (Kind.HOLD, Kind.LATENCY_AFTER):
            if fault := faults.get(kind):
                await self.door.clock.sleep(fault.seconds)
        if Kind.DROP_AFTER in faults or Kind.TRUNCATE in faults:
            return _closed(server)
        if fault := faults.get(Kind.STATUS_AFTER):
            return f"{fault.status} {fault.body or 'refused by the sandbox'}"
        return GARBAGE if Kind.MALFORMED in faults else OK

    def _keep_later(self, world: World, entry: Entry, mail: Mail, seconds: float) -> None:
        async def commit() -> None:
            await self.door.clock.sleep(seconds)
            await _keep(world, entry, mail)

        task = asyncio.create_task(commit())
        self.late.add(task)
        task.add_done_callback(self.late.discard)


async def _keep(world: World, entry: Entry, mail: Mail) -> None:
    world.mails.add(mail)
    await world.commit(entry)


def _closed(server: SMTP) -> str:
    """Close the connection; the reply that is returned finds nobody any more."""
    if server.transport is not None:
        server.transport.close()
    return OK


def _conversation(door: Door) -> SMTP:
    return SMTP(
        Clerk(door),
        hostname=HOSTNAME,
        ident="sandbox",
        authenticator=_authenticate,
        auth_require_tls=False,
        loop=asyncio.get_running_loop(),
    )


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
) -> AuthResult:
    password = given.password if isinstance(given, LoginPassword) else b""
    good = credential(password.decode(errors="replace")) is Credential.GOOD
    return AuthResult(success=good, handled=False)
