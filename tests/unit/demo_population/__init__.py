"""The population and the messages of the demo."""
