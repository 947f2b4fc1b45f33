"""The reference firm: a seeded professional-services company whose change history feeds demos, benchmarks and tests.

Owns: who works there, what was sold, what was delivered, and how each of its systems (PSA, CRM, HR, ERP) tells it.
Does not own: how a change is read or what follows from it. It imports nothing of the streams.
"""
