"""The memory: tables, transactions, and every query, one module per noun.

The only room that knows SQLAlchemy. Imports nothing of ours and decides nothing: rules belong to `handlers`.
"""
