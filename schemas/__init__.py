"""What travels: Avro contracts, the codec, schema ids, value mappings and field ownership.

Owns the shape of every record that crosses a topic, and the tables that say how a system's values are read. Does not
own what a record means for money: nothing here imports `streams` or `state`.
"""
