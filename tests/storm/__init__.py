"""The storm: many postings into a simulated ERP that fails in every way it can, while the worker is killed again and
again. What the ERP holds at the end is compared with what was meant for it.

The simulated ERP (`erp`) shares no code with the sink (`sink`), and believes nothing: it books whatever it is sent,
twice if it is sent twice. The same storm goes over Oracle Fusion as it is simulated for the contract suite (`oracle`),
through the sink that is shipped.
"""
