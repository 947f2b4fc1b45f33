"""What a worker of Kafka Connect goes by, as its properties."""

GROUP = "throughline-connect"


def properties(bootstrap: str, copies: int) -> dict[str, str]:
    """The properties of a worker, beside where it listens and where its plugins lie. `copies`: of its topics."""
    topics = {
        f"{kind}.storage.{setting}": value
        for kind, topic in (("config", "configs"), ("offset", "offsets"), ("status", "statuses"))
        for setting, value in (("topic", f"connect.{topic}"), ("replication.factor", str(copies)))
    }
    return {
        "bootstrap.servers": bootstrap,
        "group.id": GROUP,
        **topics,
        "offset.storage.partitions": "4",
        "status.storage.partitions": "2",
        # What a connector does not say for itself.
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        # Offsets and records of a source are one transaction: what is killed between them does not write twice.
        "exactly.once.source.support": "enabled",
        "offset.flush.interval.ms": "1000",
        # Secrets are named in a connector's configuration, and read here.
        "config.providers": "env,file",
        "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        # Of its environment, connectors are told what is meant for them and no more.
        "config.providers.env.param.allowlist.pattern": "[A-Z0-9]+_DATABASE_[A-Z]+|REGISTRY_URL",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        # A worker that comes back takes its tasks at once: by default they wait five minutes for one that was killed.
        "scheduled.rebalance.max.delay.ms": "0",
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "1500",
        "task.shutdown.graceful.timeout.ms": "3000",
    }
