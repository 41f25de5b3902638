"""What everything else speaks of: entities, their rules and their text form. No input or output."""
