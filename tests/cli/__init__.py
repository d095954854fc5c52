"""The front door: launcher, embedded servers, `mts dev` and the commands around it."""
