"""The steps beside intake and ledger: people, margins, alerts, analytics. Each owns one small memory of its own."""
