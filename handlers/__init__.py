"""The head: commands, alert sources, and the rules for contacts, groups, verification, alerts and deliveries.

May import `storage`; does no I/O of its own and never imports `bot`, Flask, requests or SQLAlchemy.
"""
