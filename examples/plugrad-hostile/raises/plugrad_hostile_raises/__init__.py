"""A plugin whose library fails to load."""

raise OSError("libraises.so: cannot open shared object file")
