"""What the doctor asks outside: each connector about itself, the models, the doors."""

from collections.abc import Collection, Iterable
from functools import partial

from failsoft.cli.check import Check, Health, checked
from failsoft.connectors.contract import Finding
from failsoft.errors import ConfigurationError, FailsoftError
from failsoft.settings import Settings

# A connector or the model is configured when this setting has a value.
CONFIGURED = {
    "jira": "jira_base_url",
    "mail": "smtp_host",
    "pagerduty": "pagerduty_routing_key",
    "salesforce": "salesforce_instance_url",
    "slack": "slack_token",
    "webhook": "webhooks",
    "apprise": "apprise",
    "model": "model",
    "second_model": "second_model",
}


async def look_at(names: Iterable[str], needed: Collection[str], settings: Settings) -> list[Check]:
    """Look at what is configured or needed; nothing is written anywhere, nothing is raised."""
    checks: list[Check] = []
    for name in names:
        if name not in needed and not getattr(settings, CONFIGURED[name]):
            skipped = Check(name=name, health=Health.SKIPPED, detail="not configured")
            checks.append(skipped)
        elif CONFIGURED[name] in {"model", "second_model"}:
            checks.append(await checked(name, partial(_model, name, settings)))
        else:
            checks += await _connector(name, settings)
    return checks


def doors(settings: Settings) -> list[Check]:
    """Say of each door that is set up whether it could be opened; nothing is connected."""
    # Only here: their packages come with extras.
    from failsoft.intake.doors import open_door  # noqa: PLC0415

    checks = []
    for spec in settings.doors:
        kind = spec.partition(":")[0]  # the rest may hold a password
        try:
            name, health = open_door(spec, settings).name, Health.OK
            checks.append(Check(name=f"door {kind}", health=health, detail=name))
        except FailsoftError as error:
            checks.append(Check(name=f"door {kind}", health=Health.WRONG, detail=str(error)))
    return checks


async def _connector(name: str, settings: Settings) -> list[Check]:
    """Let a connector look at whatever it needs on its other side."""
    from failsoft.connectors.clients import Clients  # noqa: PLC0415  # heavy: not for --help

    clients = Clients(settings)
    try:
        return [_line(name, finding) for finding in await clients.get(name).examine()]
    except FailsoftError as error:
        return [Check(name=name, health=Health.WRONG, detail=str(error))]
    finally:
        await clients.close()


def _line(connector: str, finding: Finding) -> Check:
    health = Health.WRONG if finding.mend else Health.OK
    detail = f"{finding.detail}: {finding.mend}" if finding.mend else finding.detail
    return Check(name=f"{connector} {finding.name}", health=health, detail=detail)


async def _model(name: str, settings: Settings) -> str:
    from failsoft.connectors.models import ChatModel  # noqa: PLC0415  # heavy: LangChain

    model_name: str | None = getattr(settings, name)
    if model_name is None:
        raise ConfigurationError("FAILSOFT_MODEL is not set: name one, e.g. openai:gpt-5-mini.")
    model = ChatModel(model_name, settings)
    await model.close()
    return f"{model_name}: its package is installed and its key set"
