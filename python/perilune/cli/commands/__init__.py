"""The commands of `perilune`, one file for each or for those that are alike."""
