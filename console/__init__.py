"""What people see: the business questions as tables, in the terminal and on one page.

Owns how derived records are folded into what is true now, how questions are answered from it, and how answers look.
Does not own any business rule: it reads the derived topics only, and computes nothing that a rule should say.
"""
