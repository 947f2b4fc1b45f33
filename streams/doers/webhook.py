"""Announcements to an incoming webhook, as Slack and Microsoft Teams have them.

A webhook knows no key, and most cannot be asked what they have heard. That an announcement may be on its way is
committed before; where its outcome was lost, the receiver is asked if there is a URL for that, else the settings
decide: it is said once more, with the words that it may be a repetition, or a person is told to look.
"""

from typing import Any, Final, Literal

from outside.errors import Skippable
from streams.doers.contract import Made, Undone
from streams.doers.templates import filled, filled_url, values_of
from streams.doers.web import Web
from streams.domain.undertaking import Order

Shape = Literal["slack", "teams"]
InDoubt = Literal["repeat", "leave"]

TEXT: Final = (
    "{name} is set up: contract {contract_number} with {client_name}, project {project_id}, ERP project "
    "{erp_project_number}"
)
REPEATED: Final = " (This may have been said before.)"


class Webhook:
    """Says that a deal is set up. The URL is a password, and is never told."""

    def __init__(
        self,
        name: str,
        url: str,
        web: Web,
        shape: Shape,
        text: str = TEXT,
        in_doubt: InDoubt = "repeat",
        ask: str = "",
    ) -> None:
        """`ask` is a template of a URL at which the receiver says whether it has heard: 404 where it has not."""
        self.name = name
        self._url = url
        self._web = web
        self._shape = shape
        self._text = text
        self._in_doubt = in_doubt
        self._ask = ask

    def make(self, order: Order, in_doubt: bool) -> Made:
        """Say it. Raises as the contract says."""
        values = values_of(order)
        made = Made(order.command_id, results=(("announced_to", self.name),))
        if self._ask and self._web.found(filled_url(self._ask, values)) is not None:
            return made
        repeated = in_doubt and not self._ask
        if repeated and self._in_doubt == "leave":
            raise Skippable(
                f"{self.name}: whether deal {order.opportunity_id} was announced is not known; look there, and say it "
                "by hand if it was not"
            )
        text = filled(self._text, values) + (REPEATED if repeated else "")
        self._web.send("POST", self._url, self._body(text, order.command_id))
        return made

    def undo(self, order: Order) -> Undone:  # noqa: ARG002
        """Nothing that was said is taken back."""
        return Undone.IN_USE

    def close(self) -> None:
        """Close all connections."""
        self._web.close()

    def _body(self, text: str, reference: str) -> dict[str, Any]:
        if self._shape == "slack":
            # Slack takes these three signs for its own.
            plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            metadata = {"event_type": "deal_activated", "event_payload": {"reference": reference}}
            return {"text": plain, "metadata": metadata}
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "text": text, "wrap": True},
                {"type": "TextBlock", "text": reference, "isSubtle": True, "size": "small"},
            ],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return {"type": "message", "attachments": [attachment]}
