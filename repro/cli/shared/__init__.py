"""What several commands share: options, output, files of images that a user gives."""
