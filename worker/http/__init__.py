"""waitress with the fleet's rules: problem documents, refusals that arrive, a drain that loses nothing."""
