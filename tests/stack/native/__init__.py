"""Start the programs of docker-compose.yml natively, on free ports, with the same command lines and files."""
