"""The run manager without a screen: list, launch, watch, control and delete runs."""
