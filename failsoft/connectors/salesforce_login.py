"""Logging in to Salesforce as a program: OAuth 2.0, by client credentials or by a signed JWT.

Both belong to an External Client App. A token is kept until Salesforce refuses it.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import override

from failsoft.clock import Clock
from failsoft.connectors.answers import read
from failsoft.errors import (
    InvalidDataError,
    MissingExtraError,
    MissingSettingError,
    RefusedError,
    TransientError,
)
from failsoft.http import Http, Response
from failsoft.settings import Settings, Timing

if TYPE_CHECKING:
    from failsoft.http import Parameters

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 - a path
LIFE = 180  # seconds of a JWT: the most that Salesforce takes
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class LoginRefusedError(RefusedError):
    """We are not let in: this is about us, and nothing of what would be written."""


class Grant(ABC):
    """What a login shows of us."""

    @abstractmethod
    def form(self, now: float) -> "Parameters":
        """Return the form that asks for a token; `now` is in seconds since 1970.

        Raises RefusedError where nothing can be shown.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientCredentials(Grant):
    """The flow whose user is the app's run-as user."""

    client_id: str
    client_secret: SecretStr

    @override
    def form(self, now: float) -> "Parameters":
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class JwtBearer(Grant):
    """The flow whose user is named, and proved by the key of the app's certificate."""

    client_id: str
    username: str
    private_key: SecretStr  # PEM
    audience: str

    @override
    def form(self, now: float) -> "Parameters":
        import jwt  # noqa: PLC0415  # comes with an extra, which `grant_of` has looked for

        claims = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience,
            "exp": int(now) + LIFE,
        }
        try:
            signed = jwt.encode(claims, self.private_key.get_secret_value(), algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError):  # whose words might quote the key
            raise RefusedError(
                "FAILSOFT_SALESFORCE_PRIVATE_KEY is no RSA key in PEM without a passphrase."
            ) from None
        return {"grant_type": BEARER, "assertion": signed}


class Login:
    """The token of one program, asked for when it is first needed."""

    def __init__(
        self, token_url: str, grant: Grant, *, timing: Timing, clock: Clock | None = None
    ) -> None:
        """Raise ConfigurationError when `token_url` is no address."""
        parts = urlsplit(token_url)
        self._http = Http(f"{parts.scheme}://{parts.netloc}", timing=timing)
        self._path = parts.path or TOKEN_PATH
        self._grant = grant
        self._timing = timing
        self._clock = clock or Clock()
        self._token: SecretStr | None = None
        self._asking = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Raise MissingSettingError for the first setting that has no value."""
        default = instance_of(settings).rstrip("/") + TOKEN_PATH
        address = settings.salesforce_token_url or default
        return cls(address, grant_of(settings), timing=settings.timing)

    async def close(self) -> None:
        await self._http.close()

    async def token(self, *, refused: SecretStr | None = None) -> SecretStr:
        """Return a token; another one than `refused`, which Salesforce takes no more.

        Raises:
            TransientError: none can be had now.
            LoginRefusedError: we are not let in.
        """
        async with self._asking:  # one login for all who wait
            if self._token is None or self._token == refused:
                try:
                    self._token = await self._ask()
                except RefusedError as error:
                    raise LoginRefusedError(str(error)) from None
            return self._token

    async def _ask(self) -> SecretStr:
        answer = await self._http.request(
            "POST", self._path, form=self._grant.form(self._clock.now()), within=self._timing.send
        )
        found = read(answer, "Salesforce login", _complaint(answer), now=self._clock.now())
        token = found.get("access_token")
        if not isinstance(token, str) or not token:
            raise TransientError("Salesforce login: an answer without a token")
        return SecretStr(token)


def instance_of(settings: Settings) -> str:
    """Return the address of the organisation; raises MissingSettingError."""
    if not settings.salesforce_instance_url:
        raise MissingSettingError(
            "FAILSOFT_SALESFORCE_INSTANCE_URL", "the address of the organisation (My Domain)"
        )
    return settings.salesforce_instance_url


def grant_of(settings: Settings) -> Grant:
    """Return the flow that the settings are for: with a private key the JWT, else the secret.

    Raises:
        MissingSettingError: something is not set.
        MissingExtraError: the JWT flow needs PyJWT.
    """
    if not settings.salesforce_client_id:
        raise MissingSettingError(
            "FAILSOFT_SALESFORCE_CLIENT_ID", "the consumer key of the External Client App"
        )
    if settings.salesforce_private_key is None:
        if settings.salesforce_client_secret is None:
            raise MissingSettingError(
                "FAILSOFT_SALESFORCE_CLIENT_SECRET", "the consumer secret of the app"
            )
        return ClientCredentials(
            client_id=settings.salesforce_client_id, client_secret=settings.salesforce_client_secret
        )
    if not settings.salesforce_username:
        raise MissingSettingError("FAILSOFT_SALESFORCE_USERNAME", "whom the app acts for")
    try:
        import jwt  # noqa: F401, PLC0415  # comes with an extra
    except ModuleNotFoundError:
        raise MissingExtraError("salesforce", "The JWT login of Salesforce") from None
    return JwtBearer(
        client_id=settings.salesforce_client_id,
        username=settings.salesforce_username,
        private_key=settings.salesforce_private_key,
        audience=settings.salesforce_audience,
    )


def _complaint(answer: Response) -> str:
    """Return what Salesforce says is wrong; it quotes nothing of what we sent."""
    try:
        said = answer.object()
    except InvalidDataError:
        return ""
    words = [str(said[name]) for name in ("error", "error_description") if said.get(name)]
    hint = "; look at the app's consumer key and secret, its flow, and its run-as user"
    return (": " + ": ".join(words) if words else "") + hint
