"""Salesforce: changes from the Pub/Sub API or by polling, as rows of `crm.*`.

    opening    settings, and what is opened    objects    which fields of which objects, read as what
    session    tokens and REST                 queries    SOQL, page by page
    pubsub     the gRPC stream                 events     a payload as an event: bitmaps, schemas
    values     a value in the JSON view        judging    what an event means for what is known
    known      what is remembered of a row     draft      a batch in the making
    capture    events become a batch           source     the feed: first reading, stream, polling, gaps

It owns nothing of how a batch is landed. One rule keeps everything right that arrives twice or late: the feed remembers
the row that it landed last, so it can tell what is new, and reads the record anew wherever it is not certain.
"""
