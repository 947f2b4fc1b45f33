"""Settings of a feed of Salesforce, and how its source is opened."""

from decimal import Decimal
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from connect.catalogue import Kind, Outside
from connect.feeds.salesforce.objects import Naming, Object, UnfitNaming, object_of
from connect.feeds.salesforce.pubsub import PubSub
from connect.feeds.salesforce.queries import Queries
from connect.feeds.salesforce.session import Calls, RestApi, Session
from connect.feeds.salesforce.source import Plan, Salesforce
from connect.settings import ComparedSettings, FeedSettings
from outside.http import Http, Limits
from outside.http_settings import HttpSettings, grant_of
from outside.oauth import Bearer

_NAMED: Final = {
    "Account": "account",
    "Opportunity": "opportunity",
    "Contract": "contract",
    "ContractAmendment": "amendment",
}
_FIELDS: Final = "Our fields that have another name there: `Ours=Theirs`, with commas between; `Lookup__r.Field` goes "
_FIELDS_END: Final = "through a lookup, `%` at the end says that it is a percentage there, `'…'` is the value itself."


def _object(setting: str, default: str) -> str:
    described: str = Field(
        default=default, alias=f"{setting}.object", description=f"The object that `{setting}` is read from."
    )
    return described


def _paths(setting: str) -> str:
    described: str = Field(default="", alias=f"{setting}.fields", description=_FIELDS + _FIELDS_END)
    return described


def _rates(setting: str, which: str, default: str, description: str) -> str:
    described: str = Field(default=default, alias=f"{setting}.rates{which}", description=description)
    return described


class SalesforceSettings(FeedSettings, ComparedSettings, HttpSettings):
    """Settings of `throughline.salesforce`. `url` is the organisation's, where the token's answer names no other."""

    mode: Literal["pubsub", "polling"] = Field(
        default="pubsub",
        description="`pubsub`: change events as they come; `polling`: queries every `poll.interval.ms`.",
    )
    api_version: str = Field(
        default="62.0", pattern=r"^\d+\.\d$", alias="api.version", description="Version of the REST API."
    )
    pubsub_url: str = Field(
        default="https://api.pubsub.salesforce.com:7443",
        pattern=r"^(https://|http://127\.0\.0\.1:)",
        alias="pubsub.url",
        description="The Pub/Sub API. Without TLS only on this machine, for tests.",
    )
    channel: str = Field(
        default="/data/ChangeEvents",
        pattern=r"^/data/\w+$",
        description="Channel of change events. All objects that are read, child objects too, must be selected for it.",
    )
    silence_ms: int = Field(
        default=300_000,
        ge=1_000,
        alias="silence.ms",
        description="A subscription silent for so long is opened anew. Salesforce says something every 270 s.",
    )
    overlap_ms: int = Field(
        default=600_000,
        ge=0,
        alias="overlap.ms",
        description="How far back of what it knows a query looks: longer than any transaction there takes.",
    )
    recheck_ms: int = Field(
        default=3_600_000,
        ge=0,
        alias="recheck.interval.ms",
        description="How often, beside events, what changed is read by query: what no event told of is found and said. "
        "0: never.",
    )
    left_to_others: Decimal = Field(
        default=Decimal("0.2"),
        ge=0,
        lt=1,
        alias="limit.left.to.others",
        description="Share of the daily limit of API calls that this feed leaves to others.",
    )
    limit_wait_ms: int = Field(
        default=900_000,
        ge=1,
        alias="limit.wait.ms",
        description="Milliseconds waited once the calls of the day are used up, before one call looks again.",
    )
    objects: str = Field(
        default="Account,Opportunity,Contract,ContractAmendment",
        description="What is read, by the names of its topics without `crm.`, with commas between.",
    )
    account_object: str = _object("account", "Account")
    account_fields: str = _paths("account")
    opportunity_object: str = _object("opportunity", "Opportunity")
    opportunity_fields: str = _paths("opportunity")
    contract_object: str = _object("contract", "Contract")
    contract_fields: str = _paths("contract")
    contract_rates: str = _rates("contract", "", "Rates__r", "Child relationship of the rates of a contract.")
    contract_rates_object: str = _rates("contract", ".object", "ContractRate__c", "The object of these rates.")
    contract_rates_parent: str = _rates("contract", ".parent", "Contract__c", "Its lookup to the contract.")
    contract_rates_fields: str = _rates(
        "contract", ".fields", "Role=Role__c,Rate=Rate__c,EffectiveFrom=EffectiveFrom__c", "As `contract.fields`."
    )
    amendment_object: str = _object("amendment", "ContractAmendment__c")
    amendment_fields: str = _paths("amendment")
    amendment_rates: str = _rates("amendment", "", "Rates__r", "Child relationship of the rates of an amendment.")
    amendment_rates_object: str = _rates("amendment", ".object", "AmendmentRate__c", "The object of these rates.")
    amendment_rates_parent: str = _rates("amendment", ".parent", "ContractAmendment__c", "Its lookup to the amendment.")
    amendment_rates_fields: str = _rates(
        "amendment", ".fields", "Role=Role__c,Rate=Rate__c,EffectiveFrom=EffectiveFrom__c", "As `contract.fields`."
    )

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Self:
        if self.auth not in {"jwt_bearer", "client_credentials", "client_credentials_form"}:
            raise ValueError("auth must be jwt_bearer, client_credentials or client_credentials_form for Salesforce")
        self.read()
        return self

    def read(self) -> tuple[Object, ...]:
        """Return what is read."""
        return tuple(self._object(name.strip()) for name in self.objects.split(","))

    def _object(self, name: str) -> Object:
        setting = _NAMED.get(name)
        if setting is None:
            raise ValueError(f"objects: {name!r} cannot be read; {', '.join(_NAMED)} can")
        rates = hasattr(self, f"{setting}_rates")
        naming = Naming(
            getattr(self, f"{setting}_object"),
            _pairs(f"{setting}.fields", getattr(self, f"{setting}_fields")),
            getattr(self, f"{setting}_rates") if rates else None,
            getattr(self, f"{setting}_rates_object") if rates else None,
            getattr(self, f"{setting}_rates_parent") if rates else None,
            _pairs(f"{setting}.rates.fields", getattr(self, f"{setting}_rates_fields")) if rates else {},
        )
        try:
            return object_of(name, naming)
        except UnfitNaming as error:
            raise ValueError(f"{setting}.{error.setting}: {error}") from None


def _pairs(key: str, text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for ours, _, theirs in pairs:
        if not ours.strip() or not theirs.strip():
            raise ValueError(f"{key}: {ours.strip()!r} is no Ours=Theirs")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def opened(settings: SalesforceSettings, outside: Outside) -> Salesforce:
    """Return the source as its settings have it. Raises `Fatal` for a key that cannot be read."""
    limits = Limits(
        timeout_s=settings.timeout_ms / 1000,
        answer_bytes_max=settings.answer_bytes_max,
        requests_per_second=settings.requests_per_second,
        at_once=settings.requests_at_once,
    )
    http = Http(limits, outside.requests, outside.clock, outside.stop.wait)
    tokens = Bearer(grant_of(settings), http.exchange, outside.clock)
    http.log_in(tokens)
    session = Session(outside.name, tokens, settings.url)
    calls = Calls(outside.name, settings.left_to_others, settings.limit_wait_ms)
    rest = RestApi(outside.name, http, session, settings.api_version, calls)
    events = None
    if settings.mode == "pubsub":
        events = PubSub(
            outside.name,
            settings.pubsub_url,
            session,
            call_s_max=limits.timeout_s,
            silence_s_max=settings.silence_ms / 1000,
        )
    plan = Plan(
        outside.name,
        settings.read(),
        settings.channel,
        settings.overlap_ms,
        settings.poll_ms / 1000,
        settings.recheck_ms or None,
        settings.gone_percent_max,
    )
    return Salesforce(plan, Queries(outside.name, rest), rest, events, session, outside.clock, http.close)


KIND: Final = Kind("salesforce", SalesforceSettings, opened)
