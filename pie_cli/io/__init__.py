"""Files, tensors, locks and provenance: files are written whole or not at all, and nothing that is read is trusted."""
