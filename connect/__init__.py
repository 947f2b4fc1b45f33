"""What comes in: configurations of Kafka Connect, their deployer, and the feeds that Connect has no connector for.

It owns how sources are reached and where each was read to. It knows nothing of what becomes of a change: `streams`
takes it from the topics. A connector and a feed are configured in the same shape, `{"name", "config"}`, one file each
in `connectors/`; the class of a feed begins with `throughline.`, and it is run by `throughline feed`, not by Connect.
"""
