"""What a user deploys to Salesforce has the properties that the connector rests on."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from failsoft.connectors.salesforce_examination import KINDS, LENGTH
from failsoft.settings import Settings

ROOT = Path(__file__).parents[2] / "salesforce"
SOURCE = ROOT / "force-app" / "main" / "default"
NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
FIELD = str(Settings.model_fields["salesforce_txn_field"].default)


def text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{NAMESPACE}{name}", default="")


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_is_unique_whatever_the_case_and_long_enough(kind: str) -> None:
    path = SOURCE / "objects" / kind / "fields" / f"{FIELD}.field-meta.xml"
    field = ET.parse(path).getroot()  # noqa: S314  # our own file
    assert text(field, "fullName") == FIELD
    assert text(field, "type") == "Text"
    assert text(field, "externalId") == text(field, "unique") == "true"
    assert text(field, "caseSensitive") == "false"
    assert int(text(field, "length")) >= LENGTH


def test_the_permission_set_lets_its_user_write_the_fields_and_make_cases() -> None:
    (path,) = (SOURCE / "permissionsets").glob("*.permissionset-meta.xml")
    granted = ET.parse(path).getroot()  # noqa: S314  # our own file
    fields = {
        text(one, "field")
        for one in granted.iter(f"{NAMESPACE}fieldPermissions")
        if text(one, "editable") == text(one, "readable") == "true"
    }
    assert fields == {f"{kind}.{FIELD}" for kind in KINDS}
    (case,) = granted.iter(f"{NAMESPACE}objectPermissions")
    assert (text(case, "object"), text(case, "allowCreate"), text(case, "allowDelete")) == (
        "Case", "true", "false",
    )  # fmt: skip


def test_the_project_names_the_version_that_the_client_speaks() -> None:
    project = json.loads((ROOT / "sfdx-project.json").read_text())
    default = Settings.model_fields["salesforce_api_version"].default
    assert project["sourceApiVersion"] == default
