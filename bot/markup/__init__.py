"""One module per markup dialect: escaping plain text and rendering documents, shared by channels and platforms.

Pure text in, text out. No sending, no limits on rates, no payloads: those belong to `bot/channels` and `bot/platforms`.
"""
