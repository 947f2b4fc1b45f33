"""The page of feeds has the settings of the Salesforce feed as they are."""

from pathlib import Path

from connect.feeds.salesforce.opening import SalesforceSettings
from connect.http_settings import HttpSettings
from connect.settings import FeedSettings

PAGE = (Path(__file__).parents[2] / "docs" / "feeds.md").read_text("utf-8")
COMMON = {*FeedSettings.model_fields, *HttpSettings.model_fields}


def rows() -> list[str]:
    own = [(name, field) for name, field in SalesforceSettings.model_fields.items() if name not in COMMON]
    return [
        f"| `{field.alias or name}` | {f'`{field.default}`' if field.default != '' else 'none'} | {field.description} |"
        for name, field in own
    ]


def test_the_table_of_settings_is_current() -> None:
    found = PAGE.split("\n## Salesforce\n")[1].split("| key | default | meaning |")[1].partition("\n\n")[0]
    assert found.strip().splitlines()[1:] == rows(), "the table must be:\n" + "\n".join(rows())
