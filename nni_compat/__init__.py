"""NNI's own files, its trial protocol, its service and portal."""
