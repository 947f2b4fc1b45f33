"""Margins: the one place that publishes a project's margin, whichever contract's ledger tells it.

When a project changes its contract, two ledgers speak of it for a while; the newer generation holds.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from streams.domain.calendar import moment
from streams.domain.fact import Cause, Figures, MarginPart, by_the_clock
from streams.domain.kept import Published
from streams.domain.money import EXACT, round_quotient
from streams.domain.policy import Policy
from streams.rules.claims import FOR, Party, claim, nothing
from streams.step import REVISED, Context, Record, Step
from streams.topics import DRIFT_CLAIMS, MARGIN_PARTS, MARGINS

_KIND: Final = "margin_erosion"
_QUOTIENTS: Final = ("margin_pct", "percent_complete", "forecast_margin_pct")
_HOURS: Final = Decimal("0.0001")


_UNKNOWN: Final = Published(-1, None, None, 0, False)


class MarginBehaviour:
    """The margins of one partition's projects at work."""

    def __init__(self, context: Context, policy: Policy) -> None:
        self._context = context
        self._policy = policy
        self._published = context.table("margins.published")
        self._parts: dict[str, MarginPart] = {}
        self._revised = False
        context.goes_by(policy.fingerprint)

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in what ledgers say."""
        for record in records:
            part: MarginPart = record.value
            before = self._parts.get(part.project_id)
            if before is None or before.generation <= part.generation:
                self._parts[part.project_id] = part

    def on_timer(self, key: str) -> None:
        """The policy was revised: every margin is held against it again."""
        assert key == REVISED  # no other timer is set
        self._revised = True
        cause = by_the_clock(self._context.now)
        for project_id, known in self._published.scan(""):
            self._parts.setdefault(project_id, MarginPart(project_id, known.generation, known.figures, cause))

    def before_commit(self) -> None:
        """Publish the margins that changed: at most one a project."""
        parts, self._parts = self._parts, {}
        for project_id, part in parts.items():
            known = self._published.get(project_id) or _UNKNOWN
            if part.generation >= known.generation:
                self._tell(project_id, part, known)
        self._revised = False

    def _tell(self, project_id: str, part: MarginPart, known: Published) -> None:
        figures, said = part.figures, known.said
        if figures is None or (figures == said and not self._revised):
            self._published.put(project_id, Published(part.generation, figures, said, known.sequence, known.eroding))
            return
        eroding = self._erosion(project_id, figures, known.eroding, part.cause)
        # A region sets thresholds but is not told: a project that only changes it has the margin it had.
        news = said is None or (
            said != figures and (said.region == figures.region or said._replace(region=figures.region) != figures)
        )
        known = Published(part.generation, figures, figures, known.sequence + news, eroding)
        self._published.put(project_id, known)
        if news:
            self._context.emit(MARGINS, project_id, self._record(project_id, known))

    def _record(self, project_id: str, known: Published) -> dict[str, Any]:
        assert known.figures is not None  # looked at before
        fields = known.figures._asdict()
        del fields["region"]
        for name in _QUOTIENTS:
            fields[name] = round_quotient(fields[name])
        fields["remaining_hours"] = fields["remaining_hours"].quantize(_HOURS, ROUND_HALF_UP, EXACT)
        return {
            "project_id": project_id,
            **fields,
            "as_of": moment(self._context.now),
            "sequence": known.sequence,
        }

    def _erosion(self, project_id: str, figures: Figures, eroding: bool, cause: Cause) -> bool:
        """Say whether the forecast margin lies under its floor or its baseline; clears one point better."""
        alert, forecast = self._policy.alert(_KIND), figures.forecast_margin_pct
        party = Party("margin", project_id, figures.contract_number, figures.client_id, figures.region)
        floor = alert.limit("floor", party.client_id, party.region)
        points = alert.limit("points_under_baseline", party.client_id, party.region)
        clear = alert.limit("points_to_clear", party.client_id, party.region)
        baseline = figures.baseline_margin_pct
        if forecast is None or not figures.approved_hours:
            now_eroding = False
        elif eroding:
            short = baseline is not None and baseline - forecast > points - clear
            now_eroding = forecast < floor + clear or short
        else:
            now_eroding = forecast < floor or (baseline is not None and baseline - forecast >= points)
        told = None
        if now_eroding and forecast is not None:
            threshold = floor if baseline is None else max(floor, baseline - points)
            evidence = _evidence(figures)
            told = claim(_KIND, project_id, FOR, party, 0, (forecast, threshold), cause, alert.severity, evidence)
        elif eroding:
            told = nothing(_KIND, project_id, party, cause)
        if told is not None:
            self._context.emit(DRIFT_CLAIMS, f"{_KIND}:{project_id}", told)
        return now_eroding


def _evidence(figures: Figures) -> list[tuple[str, str]]:
    shown: list[tuple[str, Decimal | None]] = [
        ("forecast_revenue", figures.forecast_revenue),
        ("forecast_cost", figures.forecast_cost),
        ("baseline_margin_pct", figures.baseline_margin_pct),
    ]
    return [("currency", figures.currency), *[(name, str(value)) for name, value in shown if value is not None]]


def margin_step(policy: Policy) -> Step:
    """Declare the step that publishes margins."""
    return Step(
        name="margins",
        key="project id",
        reads=(MARGIN_PARTS,),
        writes=(MARGINS, DRIFT_CLAIMS),
        begin=lambda context: MarginBehaviour(context, policy),
        remembers={"margins.published": Published},
    )
