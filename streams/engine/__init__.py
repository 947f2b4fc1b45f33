"""The engine: Steps as Faust agents on Kafka, with their state in RocksDB.

Owns everything between a topic and a Step: transport, bytes, checkpoints, agents, the worker. It is the only place
that knows Faust or a Kafka client, and it knows nothing of contracts, rates or milestones.
"""
