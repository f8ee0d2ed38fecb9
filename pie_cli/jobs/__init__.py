"""Many runs at a time, in processes that share nothing but a folder."""
