"""Reading `activation.yaml` and opening its doers, with secrets from where its references point.

Owns what is read of the environment. A fault names file and line, and never a secret.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, ValidationError

from outside import references
from outside.errors import Fatal
from outside.http import Http, Limits, Uncounted
from outside.http_settings import HttpSettings, opened
from outside.tryton import TrytonCalls
from schemas.lined_yaml import UnusableFile, load
from streams.doers.contract import Doer
from streams.doers.dimension_file import DimensionFile
from streams.doers.dimension_service import DimensionService
from streams.doers.plan import (
    DimensionFilePlan,
    DimensionServicePlan,
    DoerPlan,
    Plan,
    PsaApiPlan,
    PsaDatabasePlan,
    TrytonPlan,
    WebhookPlan,
)
from streams.doers.psa_api import PsaApi
from streams.doers.psa_database import PsaDatabase
from streams.doers.tryton_project import TrytonProject
from streams.doers.web import Web
from streams.doers.webhook import Webhook

_SECRETS: Final = ("dsn", "url", "ask", "password", "user", "http")


def load_plan(path: Path, environment: Mapping[str, str] = os.environ) -> Plan:
    """Return the plan of a file. Raises `schemas.lined_yaml.UnusableFile`, also for a reference to nothing."""
    lined = load(path, Plan)
    plan = lined.content
    faults = [lined.fault(place, what) for place, what in plan.faults()]
    for name, doer in plan.doers.items():
        faults += [lined.fault(("doers", name, *place), what) for place, what in _faults(doer, environment)]
    if faults:
        raise UnusableFile(faults)
    return plan


class Openings:
    """Opens doers by name. `clock` gives milliseconds since 1970, `hold` waits for so many seconds."""

    def __init__(
        self,
        plan: Plan,
        clock: Callable[[], int],
        hold: Callable[[float], object],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._hold = hold
        self._environment = environment

    def open(self, name: str) -> Doer:
        """Return a doer. Raises `Fatal` for one that the file does not have, or whose secrets are gone."""
        plan = self._plan.doers.get(name)
        if plan is None:
            raise Fatal(f"activation.yaml has no doer {name}, which has work to do; name it there again")
        try:
            secrets = {place: _resolved(getattr(plan, place, ""), self._environment) for place in _SECRETS}
        except LookupError as error:
            raise Fatal(f"doer {name}: {error.args[0]}") from None
        return self._opened(name, plan, secrets)

    def _opened(self, name: str, plan: DoerPlan, secrets: Mapping[str, Any]) -> Doer:
        match plan:
            case PsaDatabasePlan():
                return PsaDatabase(name, secrets["dsn"])
            case PsaApiPlan():
                settings = _settings(secrets["http"])
                return PsaApi(name, settings.url, self._web(settings))
            case TrytonPlan():
                settings = _settings(secrets["http"])
                http = opened(settings, Uncounted(), self._clock, self._hold)
                calls = TrytonCalls(http, settings.url, plan.database, secrets["user"], secrets["password"])
                statuses = (plan.begun_status, plan.closed_status)
                return TrytonProject(name, calls, plan.companies, plan.parties, statuses, plan.namespace)
            case DimensionServicePlan():
                settings = _settings(secrets["http"])
                return DimensionService(
                    name, settings.url, self._web(settings), plan.entities, plan.companies, plan.csrf
                )
            case DimensionFilePlan():
                return DimensionFile(name, plan.folder, plan.fields, plan.answers, plan.companies)
            case WebhookPlan():
                limits = Limits(timeout_s=plan.timeout_ms / 1000, answer_s_max=plan.timeout_ms / 1000)
                web = Web(Http(limits, Uncounted(), self._clock, self._hold), self._clock, secret_path=True)
                url, ask = secrets["url"], secrets["ask"]
                return Webhook(name, url, web, plan.shape, plan.text, plan.in_doubt, ask)

    def _web(self, settings: HttpSettings) -> Web:
        return Web(opened(settings, Uncounted(), self._clock, self._hold), self._clock)


class _Settings(HttpSettings):
    model_config = ConfigDict(extra="forbid")


def _settings(given: Mapping[str, Any]) -> HttpSettings:
    return _Settings.model_validate(given)


def _faults(doer: DoerPlan, environment: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with the references and the HTTP settings of a doer: where, and what."""
    for place in _SECRETS:
        value = getattr(doer, place, "")
        for key, text in value.items() if isinstance(value, dict) else (("", value),):
            try:
                _resolved(text, environment)
            except LookupError as error:
                yield (place, key) if key else (place,), str(error.args[0])
                return
    if isinstance(value := getattr(doer, "http", None), dict):
        try:
            _settings(_resolved(value, environment))
        except ValidationError as error:
            for fault in error.errors(include_input=False):
                key = ".".join(str(part) for part in fault["loc"])
                yield ("http", key), f"{key or 'http'}: {fault['msg'].removeprefix('Value error, ')}"


def _resolved(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(each, environment) for key, each in value.items()}
    return references.resolved(value, environment) if isinstance(value, str) else value
