"""Hooks: the commands and webhooks that changes trigger."""
