"""Images of one's own: from a folder, a .zip, an .npz or an .npy to a prepared file that is mapped into memory."""
