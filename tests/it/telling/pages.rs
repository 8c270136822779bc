//! Holds docs/logging.md, docs/troubleshooting.md and docs/bird-access.md to the program.
