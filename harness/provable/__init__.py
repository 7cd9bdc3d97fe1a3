"""Import contracts of the provable-contracts format: read them without loss, and write them as our contracts."""
