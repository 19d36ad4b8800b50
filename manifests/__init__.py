"""What hosts, registries and catalogs read, and the code that writes it. `README.md` says who reads which file."""
