"""What this transport refuses of what Faust's interfaces have."""


class NotOffered(Exception):
    """Something of Faust's was asked for that has no place here; the message says what there is instead."""
