"""Many runs at once, in processes that share nothing but a folder."""
