"""Settings: environment variables named FAILSOFT_…, with defaults that work on one machine."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from failsoft.errors import ConfigurationError

# A list in one variable, separated by commas.
Names = Annotated[list[str], NoDecode]


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


class Webhook(BaseModel):
    """Where signed messages go; the name by which it is called is the key in the settings."""

    model_config = ConfigDict(extra="forbid")

    url: str
    secret: SecretStr


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
    slack_app_token: SecretStr | None = None  # xapp-: Socket Mode
    slack_signing_secret: SecretStr | None = None
    slack_old_signing_secret: SecretStr | None = None  # while the secret is being rotated
    slack_channels: Names = Field(default_factory=list)  # whose history is read after a pause
    slack_reviewers: Names = Field(default_factory=list)  # user ids that may answer; none: anybody

    jira_base_url: str | None = None
    jira_email: str | None = None
    jira_token: SecretStr | None = None
    jira_flavor: Literal["cloud", "datacenter"] = "cloud"

    salesforce_instance_url: str | None = None  # https://my-domain.my.salesforce.com
    salesforce_token_url: str | None = None  # default: the instance's /services/oauth2/token
    salesforce_audience: str = "https://login.salesforce.com"
    salesforce_client_id: str | None = None
    salesforce_client_secret: SecretStr | None = None  # the client-credentials flow
    salesforce_username: str | None = None  # the JWT bearer flow, with the private key
    salesforce_private_key: SecretStr | None = None  # PEM
    salesforce_api_version: str = "66.0"
    salesforce_txn_field: str = "Failsoft_Txn__c"

    mailbox: str = "inbox"  # in the keys of events: one name for all addresses of a mailbox
    mail_from: str | None = None  # whom our own mail comes from
    mail_own_addresses: Names = Field(default_factory=list)  # mail from these starts nothing
    mail_recipients: Names = Field(default_factory=list)  # whom the SMTP door takes mail for
    mail_token: SecretStr | None = None  # of whoever posts raw mail by HTTP
    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    imap_password: SecretStr | None = None
    imap_oauth_token: SecretStr | None = None  # XOAUTH2 instead of a password

    pagerduty_url: str = "https://events.pagerduty.com"
    pagerduty_routing_key: SecretStr | None = None
    webhooks: dict[str, Webhook] = Field(default_factory=dict)
    apprise: dict[str, SecretStr] = Field(default_factory=dict)  # Apprise URLs by name
    contacts: dict[str, str] = Field(default_factory=dict)  # mail addresses by name
    answer_secret: SecretStr | None = None  # signs answers that come by HTTP

    queue_password: SecretStr | None = None  # of the doors to RabbitMQ and Redis

    doors: Names = Field(default_factory=list)  # what `failsoft listen` opens
    public_url: str | None = None  # where people reach `failsoft serve`

    concurrency: int = Field(default=8, ge=1)
    limits: dict[str, Limit] = Field(default_factory=dict)
    trace_url_template: str | None = None

    @field_validator(
        "slack_channels", "slack_reviewers", "mail_own_addresses", "mail_recipients", "doors",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [name.strip() for name in value.split(",") if name.strip()]

    @field_validator(
        "slack_token", "slack_app_token", "slack_signing_secret", "slack_old_signing_secret",
        "jira_token", "model_api_key", "salesforce_client_secret", "mail_token", "smtp_password",
        "imap_password", "imap_oauth_token", "pagerduty_routing_key", "answer_secret",
    )  # fmt: skip
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
        values = [getattr(self, name) for name in type(self).model_fields]
        values += self.apprise.values()
        values += (webhook.secret for webhook in self.webhooks.values())
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
        raise ConfigurationError(f"{_variable(error)}: it is not JSON.") from None


def _variable(error: SettingsError) -> str:
    """Return the variable of the field that the message names in quotes."""
    field = str(error).partition('"')[2].partition('"')[0]
    return f"FAILSOFT_{field.upper()}" if field in Settings.model_fields else "FAILSOFT_…"
