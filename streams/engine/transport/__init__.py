"""Faust's transport on confluent-kafka: batches of a partition as events, acknowledged by checkpoints.

`Transport` is what Faust is given for broker URLs of `SCHEME`. A thread of its own (`fetching`) owns the Kafka client
and hands each fetch to the event loop, one batch a partition. Topics opened with `BatchSchema` bring a batch as one
event, so that Faust's cost an event is paid once for some thousand records; other topics bring event by event, as stock
Faust does, and are acknowledged in contiguous order (`acks`). Nothing is committed here: the checkpoint commits.
"""
