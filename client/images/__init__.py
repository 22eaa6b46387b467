"""Find images in files and folders, and read them for sending."""
