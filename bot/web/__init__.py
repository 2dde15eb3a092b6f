"""The HTTP routes of the service: alerts in, health, metrics. They only translate."""
