"""The operators' page, commands, metrics and traces over the whole product."""
