"""Settings: environment variables named FAILSOFT_…, with defaults that work on one machine."""

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from failsoft.errors import ConfigurationError


class Timing(BaseModel):
    """How long things may take; every field is in seconds."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    lease: float = Field(default=20.0, gt=0)
    heartbeat: float = Field(default=5.0, gt=0)
    sweep: float = Field(default=5.0, gt=0)
    poll: float = Field(default=1.0, gt=0)
    connect: float = Field(default=5.0, gt=0)
    read: float = Field(default=30.0, gt=0)
    send: float = Field(default=35.0, gt=0)
    model: float = Field(default=60.0, gt=0)
    settle: float | None = Field(default=None, ge=0)  # None: each connector's own
    retry_first: float = Field(default=1.0, gt=0)
    retry_cap: float = Field(default=300.0, gt=0)
    outbox_lease: float = Field(default=60.0, gt=0)
    alone: float = Field(
        default=900.0, gt=0
    )  # a suspect that is driven alone and never rests is ended


SANDBOX_TIMING = Timing(
    lease=3.0, heartbeat=1.0, sweep=0.25, poll=0.1, connect=1.0, read=2.0, send=2.0, model=5.0,
    settle=1.0, retry_first=0.1, retry_cap=2.0, outbox_lease=6.0, alone=60.0,
)  # fmt: skip


class Limit(BaseModel):
    """What one dependency takes: calls per second, calls at once from rest, calls in flight."""

    rate: float = Field(default=20.0, gt=0)
    burst: int = Field(default=20, ge=1)
    in_flight: int = Field(default=16, ge=1)


class Settings(BaseSettings):
    """Everything that the environment decides."""

    model_config = SettingsConfigDict(
        env_prefix="FAILSOFT_", env_nested_delimiter="__", env_ignore_empty=True, extra="ignore",
        protected_namespaces=(),
    )  # fmt: skip

    home: Path = Path(".failsoft")
    dsn: SecretStr | None = None
    profile: Literal["production", "sandbox"] = "production"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    timing: Timing = Field(default_factory=Timing)  # FAILSOFT_TIMING__LEASE=30 sets one of them

    model: str | None = None  # provider:model
    second_model: str | None = None
    model_base_url: str | None = None
    model_api_key: SecretStr | None = None
    model_max_tokens: int = 512
    model_price: str | None = None  # USD per million tokens, "input/output"

    slack_base_url: str = "https://slack.com/api/"
    slack_token: SecretStr | None = None
    slack_bot_id: str | None = None

    jira_base_url: str | None = None
    jira_email: str | None = None
    jira_token: SecretStr | None = None

    concurrency: int = Field(default=8, ge=1)
    limits: dict[str, Limit] = Field(default_factory=dict)
    trace_url_template: str | None = None

    @field_validator("slack_token", "jira_token", "model_api_key")
    @classmethod
    def _one_line(cls, secret: SecretStr | None) -> SecretStr | None:
        """Take the line end off that a file leaves, and refuse what no HTTP header can carry."""
        if secret is None:
            return None
        value = secret.get_secret_value().strip()
        if not (value.isascii() and value.isprintable()):
            raise ValueError("it holds a character that no token has; copy it again")
        return SecretStr(value)

    @model_validator(mode="after")
    def _time_the_sandbox(self) -> Self:
        """Take the sandbox's times where none was set by itself."""
        if self.profile == "sandbox":
            chosen = {name: getattr(self.timing, name) for name in self.timing.model_fields_set}
            self.timing = SANDBOX_TIMING.model_copy(update=chosen)
        if self.timing.heartbeat > self.timing.lease / 2:
            raise ValueError("timing: a heartbeat must fit twice into a lease")
        return self

    @property
    def secrets(self) -> list[SecretStr]:
        """Every secret that is set: what no trace, log or error may show."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value for value in values if isinstance(value, SecretStr)]

    def limit(self, dependency: str) -> Limit:
        """Return the limit set for `dependency`, or the default."""
        return self.limits.get(dependency) or Limit()


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: a variable has a value of the wrong kind; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        variable = "FAILSOFT_" + "__".join(str(part) for part in first["loc"]).upper()
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"{variable.removesuffix('_')}: {said}.") from None
    except SettingsError as error:  # JSON is asked for where a group is set in one variable
        raise ConfigurationError(f"{str(error).partition(chr(10))[0]}: it is not JSON.") from None
