"""Whether a run says what another one said: panel by panel and table by table."""
