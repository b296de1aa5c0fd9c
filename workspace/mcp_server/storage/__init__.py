"""What a workspace keeps for its user, all of it in one SQLite file in the user's data folder."""
