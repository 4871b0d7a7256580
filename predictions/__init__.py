"""Models that suggest codes and risks; pure, they read no store."""
