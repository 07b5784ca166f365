"""Who, what, which stage and why: the metadata of models over a small database contract."""
