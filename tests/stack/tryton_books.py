"""Books in a real Tryton for tests of its sink, made through its own API, and a wire to it that can be cut."""

import http.client
import random
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

from live.tryton import TrytonAtWork
from stack.tryton_client import TrytonClient
from streams.sinks.tryton_books import Books, TrytonMapping

YEAR = 2026
CLOSED = f"{YEAR}-01"
RECEIVABLE, REVENUE, TAXES = "1.2.1", "4.1.2", "6.3.6"
EXCHANGE = "6.2.1"
RATES = {"JPY": (0, "160"), "KWD": (3, "0.35")}


class Invoice(NamedTuple):
    """An invoice that stands in Tryton, and what its move in the ledger says."""

    reference: str
    state: str
    untaxed: Decimal
    currency: str
    move: str
    lines: int


class Bookkeeping:
    """A company's accounts, journal, tax, currencies, one customer, and a year whose January is closed."""

    def __init__(self, client: TrytonClient) -> None:
        self.client = client
        self.company: int = client.context["company"]
        TrytonAtWork(client)  # makes the accounts
        self._accounts = {row["code"]: row["id"] for row in client.search("account.account", [], "code")}
        self._open_the_year()
        for code, (digits, rate) in RATES.items():
            self._add_currency(code, digits, rate)
        exchange = {f"currency_exchange_{side}_account": self._accounts[EXCHANGE] for side in ("debit", "credit")}
        journal = client.search("account.journal", [("code", "=", "EXC")], "id")[0]["id"]
        client.create("account.configuration", {**exchange, "currency_exchange_journal": journal})

    def mapping(self) -> TrytonMapping:
        """Make a customer and a tax, and say what our codes are called here."""
        client, accounts = self.client, self._accounts
        (customer,) = client.create("party.party", {"name": "Nordlicht", "addresses": [["create", [{}]]]})
        sides = {f"{side}_account": accounts[TAXES] for side in ("invoice", "credit_note")}
        (tax,) = client.create("account.tax", {
            "name": "VAT", "description": "VAT", "type": "percentage", "rate": Decimal("0.19"), "company": self.company,
            **sides,
        })  # fmt: skip
        (journal,) = client.search("account.journal", [("code", "=", "REV")], "id")
        books = Books(
            company=self.company, journal=journal["id"], receivable=accounts[RECEIVABLE],
            revenue={"*": accounts[REVENUE]}, taxes={"DE-19": (tax,)},
        )  # fmt: skip
        currencies = {row["code"]: row["id"] for row in client.search("currency.currency", [], "code")}
        return TrytonMapping(
            version=1, legal_entities={"LE1": books}, customers={"CU1": customer}, currencies=currencies
        )

    def invoices(self) -> list[Invoice]:
        """All invoices there are, in whichever state."""
        names = ("reference", "state", "untaxed_amount", "currency.code", "move.state", "lines")
        return [
            Invoice(
                row["reference"], row["state"], row["untaxed_amount"], row["currency."]["code"],
                (row["move."] or {}).get("state", ""), len(row["lines"]),
            )
            for row in self.client.search("account.invoice", [], *names)
        ]  # fmt: skip

    def _open_the_year(self) -> None:
        client, company = self.client, self.company
        kinds = {row["name"]: row["id"] for row in client.search("ir.sequence.type", [], "name")}
        moves, invoices = client.create("ir.sequence.strict", *[
            {"name": name, "sequence_type": kinds[name], "company": company} for name in ("Account Move", "Invoice")
        ])  # fmt: skip
        of_kind = ("out_invoice", "out_credit_note", "in_invoice", "in_credit_note")
        sequences = {"company": company, **{f"{kind}_sequence": invoices for kind in of_kind}}
        (year,) = client.create("account.fiscalyear", {
            "name": str(YEAR), "start_date": date(YEAR, 1, 1), "end_date": date(YEAR, 12, 31), "company": company,
            "move_sequence": moves, "invoice_sequences": [["create", [sequences]]],
        })  # fmt: skip
        client.call("model.account.fiscalyear.create_period", [year])
        (january,) = client.search("account.period", [("start_date", "=", date(YEAR, 1, 1))], "id")
        client.call("model.account.period.close", [january["id"]])

    def _add_currency(self, code: str, digits: int, rate: str) -> None:
        row = {"name": code, "code": code, "symbol": code, "digits": digits, "rounding": Decimal(1).scaleb(-digits)}
        rates = [["create", [{"rate": Decimal(rate), "date": date(2000, 1, 1)}]]]
        self.client.create("currency.currency", {**row, "rates": rates})


class Wire:
    """Passes requests on to a Tryton, but for those that are cut: before they get there, or their answer on the way.

    `strike` is called while a request is under way there, when it is the turn of a request that meets one.
    """

    def __init__(self, upstream: str, seed: int, strike: Callable[[], None]) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._random = random.Random(seed)
        self._strike = strike
        self.calm = False
        self.fates: dict[str, int] = {}
        wire = self

        class Passing(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                wire.passed(self)

            def log_message(self, *_arguments: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def passed(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one request on, or not."""
        body = request.rfile.read(int(request.headers["content-length"]))
        fate = self._fate(body)
        self.fates[fate] = self.fates.get(fate, 0) + 1
        request.close_connection = fate != "passed"
        if fate == "before":
            return
        if fate == "struck":
            threading.Timer(self._random.uniform(0.0, 0.3), self._strike).start()
        try:
            status, told = self._asked(request, body)
        except OSError:
            request.close_connection = True
            return
        if fate == "passed":
            request.send_response(status)
            request.send_header("content-type", "application/json")
            request.send_header("content-length", str(len(told)))
            request.end_headers()
            request.wfile.write(told)

    def _fate(self, body: bytes) -> str:
        changes = b"invoice.create" in body or b"invoice.validate" in body or b"invoice.post" in body
        if self.calm or not changes:
            return "passed"
        return self._random.choices(("passed", "before", "after", "struck"), (6, 2, 4, 1))[0]

    def _asked(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        upstream = http.client.HTTPConnection(self._upstream, timeout=30)
        try:
            names = ("content-type", "accept", "authorization")
            headers = {name: value for name in names if (value := request.headers.get(name)) is not None}
            upstream.request("POST", request.path, body, headers)
            answer = upstream.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionResetError(str(error)) from error
        finally:
            upstream.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
