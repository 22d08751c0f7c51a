"""Control steps per second, ours against raw MuJoCo and against the usual ways to vectorise."""
