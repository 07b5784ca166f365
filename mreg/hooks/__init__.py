"""What a change sets off: commands and webhooks."""
