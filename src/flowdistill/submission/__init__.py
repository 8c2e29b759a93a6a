"""The file formats of submissions to KITTI and Sintel, and checks of their content."""
