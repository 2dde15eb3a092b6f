"""Strict local stand-ins for the platforms and the page that shows them. Never part of a real deployment."""
