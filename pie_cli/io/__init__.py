"""Files, tensors, locks and provenance: what is written appears whole, and what is read is not believed."""
