"""Claims: what this partition's ledgers say for or against alerts, told once per commit where it changed."""

from typing import Final

from streams.domain.fact import NO_CAUSE, Cause, Claim, ProjectView
from streams.domain.ledger import EXPENSE, MILESTONE, NO_CONTRACT_PREFIX, Item, Reconciled
from streams.domain.money import ZERO
from streams.domain.policy import Policy
from streams.domain.terms import Terms
from streams.ledger.book import Book, ItemKey
from streams.ledger.margins import Margins
from streams.ledger.publish import Publisher
from streams.ledger.reference import SEP, Reference
from streams.rules import claims as rules
from streams.rules.billing import trigger_id
from streams.rules.claims import AGAINST, NONE, Party
from streams.step import Context
from streams.topics import DRIFT_CLAIMS

_NAMED: Final = "named"


class Claims:
    """Tells the claims of one partition's ledgers."""

    def __init__(
        self, context: Context, book: Book, reference: Reference, publisher: Publisher, margins: Margins, policy: Policy
    ) -> None:
        self._context = context
        self._book = book
        self._reference = reference
        self._publish = publisher
        self._margins = margins
        self._policy = policy

    def run(self) -> None:
        """Tell all claims on what was marked."""
        book = self._book
        items, book.dirty_claims = book.dirty_claims, {}
        for item_key, cause in items.items():
            self._item(item_key, cause)
        gaps, book.dirty_reconciled = book.dirty_reconciled, {}
        for (key, project_id, period), cause in gaps.items():
            sums = book.reconciled.get(SEP.join((key, project_id, period))) or Reconciled()
            party, view = self._party(key, project_id), book.project(key, project_id).view
            shared = view is None or view.generation > 0  # a project that moves leaves triggers in both ledgers
            told = rules.reconciliation_gap(period, sums, shared, book.terms(key), party, self._policy, cause)
            self._tell(key, told)
        contracts, book.dirty_contracts = book.dirty_contracts, {}
        drawn, book.dirty_drawn = book.dirty_drawn | contracts, {}
        earned, book.dirty_earned = book.dirty_earned | contracts, {}
        for key, cause in contracts.items():
            self._contract(key, cause)
        for key, cause in drawn.items():
            if key in contracts or self._is_capped(key):
                self._cap(key, cause)
        for key, cause in earned.items():
            self._recognized(key, cause)

    def _item(self, key: ItemKey, cause: Cause) -> None:
        item = self._book.item(key)
        project_id = item.work.project_id if item.work is not None else None
        party = self._party(key[0], project_id)
        if key[1] == EXPENSE:
            self._tell(key[0], rules.expense_late(item, party, self._policy, cause))
        elif key[1] == MILESTONE:
            terms = self._book.terms(key[0])
            self._tell(key[0], rules.milestone_unbilled(item, terms, party, self._policy, cause))
            self._named(key, item, party, cause)

    def _named(self, key: ItemKey, item: Item, party: Party, cause: Cause) -> None:
        """Speak against the alert of a milestone one of whose triggers a released invoice line names."""
        named = any(
            line.released
            for revision in range(item.next_revision)
            for line in self._book.lines.get(f"{key[0]}{SEP}{trigger_id(*key, revision)}") or ()
        )
        witness = party._replace(claimant=f"{key[0]}{SEP}{_NAMED}")
        told = rules.nothing("milestone_unbilled", key[2], witness, cause)
        self._tell(key[0], told._replace(stance=AGAINST) if named else told)

    def _contract(self, key: str, cause: Cause) -> None:
        book = self._book
        terms = book.terms(key)
        party = self._party(key, None)
        projects = book.projects_of(key)
        views = [project.view for _, project in projects if project.view is not None]
        self._amendments(key, terms, [v.erp.contract_version for v in views if v.erp is not None], party, cause)
        self._stages(key, {project_id: project.view for project_id, project in projects}, terms, cause)

    def _is_capped(self, key: str) -> bool:
        terms = self._book.terms(key)
        return terms is not None and terms.cap is not None

    def _cap(self, key: str, cause: Cause) -> None:
        terms = self._book.terms(key)
        drawn = self._book.contract(key).drawn
        self._tell(key, rules.cap_burn(drawn, terms, self._party(key, None), self._policy, cause))
        self._overdrawn(key, terms, cause)

    def _recognized(self, key: str, cause: Cause) -> None:
        terms, state, recognized = self._book.terms(key), self._book.contract(key), None
        if state.schedules:
            recognized = sum((line.recognized for s in state.schedules for line in s.lines), ZERO)
        earned = self._margins.earned_home(key, terms) if terms is not None and state.schedules else ZERO
        party = self._party(key, None)
        self._tell(key, rules.revenue_drift(recognized, earned, terms, party, self._policy, cause))

    def _overdrawn(self, key: str, terms: Terms | None, cause: Cause) -> None:
        state = self._book.contract(key)
        cap = terms.cap if terms is not None else None
        over = cap is not None and state.drawn > cap
        if over == bool(state.overdrawn_since):
            return
        since = self._context.now if over else 0
        self._publish.overdrawn(key, state.overdrawn_since or since, over, cap or ZERO, state.drawn, cause)
        self._book.put_contract(key, state._replace(overdrawn_since=since))

    def _amendments(self, key: str, terms: Terms | None, versions: list[int], party: Party, cause: Cause) -> None:
        standing = {a.id: (place, a) for place, a in enumerate(terms.amendments, 1)} if terms is not None else {}
        prefix = f"{key}{SEP}amendment_unpropagated{SEP}"
        for place, _ in self._book.claims.scan(prefix):
            gone = place[len(prefix) :].split(SEP)[0]
            if gone not in standing:
                self._tell(key, rules.nothing("amendment_unpropagated", gone, party, cause))
        for place_in_row, amendment in standing.values():
            told = rules.amendment_unpropagated(amendment, place_in_row, versions, party, self._policy, cause)
            self._tell(key, told)

    def _stages(self, key: str, views: dict[str, ProjectView | None], terms: Terms | None, cause: Cause) -> None:
        prefix = f"{key}{SEP}status_mismatch{SEP}"
        for place, _ in self._book.claims.scan(prefix):
            views.setdefault(place[len(prefix) :].split(SEP)[0], None)
        for project_id, view in views.items():
            party = self._party(key, project_id)
            self._tell(key, rules.status_mismatch(view, terms, party, self._policy, cause))

    def _party(self, key: str, project_id: str | None) -> Party:
        terms = self._book.terms(key)
        view = self._book.project(key, project_id).view if project_id else None
        client = terms.contract.account_id if terms is not None else None
        if client is None and view is not None:
            client = self._reference.account_of(view.project.client_id)
        contract = None if key.startswith(NO_CONTRACT_PREFIX) else key
        return Party(key, project_id, contract, client, view.project.region if view is not None else None)

    def _tell(self, key: str, told: Claim) -> None:
        """Send a claim if it says anything new."""
        place = SEP.join((key, told.alert_kind, told.entity_id, told.claimant))
        said = self._book.claims.get(place)
        if told.stance == NONE:
            if said is None:
                return
            self._book.claims.delete(place)
        else:
            kept = told._replace(cause=NO_CAUSE)
            if said == kept:
                return
            self._book.claims.put(place, kept)
        self._context.emit(DRIFT_CLAIMS, f"{told.alert_kind}:{told.entity_id}", told)
