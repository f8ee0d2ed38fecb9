"""Every figure of merit of a trained run, measured once and kept in its folder."""
