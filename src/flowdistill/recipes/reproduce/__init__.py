"""`make reproduce-kitti`: both papers' pipelines on KITTI, in stages that go on where they stopped."""
